/* lwm2m_client.h - the LwM2M client of one device: registration, commands, notifications.
 *
 * Sans-I/O: downlinks and time go in, uplinks come out through `say`, and what goes beyond the
 * client's power (rebooting, downloading) is returned as a set of effects.  It knows no dialect. */
#ifndef BRAID_SIM_LWM2M_CLIENT_H
#define BRAID_SIM_LWM2M_CLIENT_H

#include "base/clock.h"
#include "codec/lwm2m_msg.h"
#include "firmware.h"
#include "lwm2m_execute.h"
#include "object_tree.h"

/* `base` covers all values of the uplink: some content formats need it. */
typedef void lwm2m_say_fn(void *ctx, const struct lw_uplink *u, struct lw_path base);

struct lwm2m_client_config {
    const struct description *desc;
    const struct desc_kind *kind;
    struct str endpoint; /* all three outlive the client */
    uint64_t seed;
    struct str firmware; /* version installed earlier; .p NULL: the description's */
    lwm2m_say_fn *say;
    void *ctx;
};

struct lwm2m_client; /* opaque */

MUST_CHECK enum err lwm2m_client_new(const struct lwm2m_client_config *c,
                                     struct lwm2m_client **out);
void lwm2m_client_free(struct lwm2m_client *c);
struct tree *lwm2m_client_tree(struct lwm2m_client *c);
const struct firmware *lwm2m_client_firmware(const struct lwm2m_client *c);
uint32_t lwm2m_client_disable_s(const struct lwm2m_client *c);
bool lwm2m_client_is_registered(const struct lwm2m_client *c);

/* lwm2m_client_up: the connection is there.  `fresh` (first start, reboot) registers anew and
 * forgets observations; otherwise a registration that may still be valid is updated.  _down: the
 * connection is gone; nothing is said until _up. */
void lwm2m_client_up(struct lwm2m_client *c, struct arena *a, bool fresh, struct moment now);
void lwm2m_client_down(struct lwm2m_client *c);
/* lwm2m_client_factory_reset forgets everything that was written. */
MUST_CHECK enum err lwm2m_client_factory_reset(struct lwm2m_client *c);
void lwm2m_client_deregister(struct lwm2m_client *c);

/* lwm2m_client_handle obeys one downlink and says the answer.  Returns effects. */
unsigned lwm2m_client_handle(struct lwm2m_client *c, struct arena *a, const struct lw_downlink *d,
                             struct moment now);
/* lwm2m_client_tick does what is due: retries, Update, notifications, a firmware installation.
 * Call it about once a second.  Returns effects. */
unsigned lwm2m_client_tick(struct lwm2m_client *c, struct arena *a, struct moment now);
/* lwm2m_client_send reports all moving resources by Send (unless muted by /1/0/23). */
void lwm2m_client_send(struct lwm2m_client *c, struct arena *a, struct moment now);
/* lwm2m_client_sample keeps the minimum and maximum resources (5601, 5602) up to date. */
void lwm2m_client_sample(struct lwm2m_client *c, struct moment now);
void lwm2m_client_downloaded(struct lwm2m_client *c, enum fw_result why,
                             const struct fw_image *image, struct moment now);
/* lwm2m_client_hash gives pushed packages their SHA-256 (the client itself knows no crypto). */
typedef void lwm2m_hash_fn(struct str bytes, uint8_t sha256[32]);
void lwm2m_client_set_hash(struct lwm2m_client *c, lwm2m_hash_fn *hash);

#endif
