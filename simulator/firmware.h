/* firmware.h - the firmware update object /5/0 as a state machine (Core 1.2.2 Appendix E.6).
 *
 *   0 idle --URI or package--> 1 downloading --complete, verified--> 2 downloaded
 *     ^  <----- error: result 2..9 ---'                                  | execute /5/0/2
 *     '-- rebooted: result 1, new /3/0/3 ---- 3 updating <---------------'
 *
 * Sans-I/O: the owner downloads and reboots when told to.  An image is verified by its length and,
 * if the URI ends in `#sha256=HEX`, by its hash.  Its first line may say `version=X`; otherwise the
 * new version is the old one with its last number raised.  An image of version `broken` fails to
 * install (result 8), so that a campaign's bad day can be rehearsed. */
#ifndef BRAID_SIM_FIRMWARE_H
#define BRAID_SIM_FIRMWARE_H

#include "base/clock.h"
#include "codec/lwm2m_msg.h"
#include "object_tree.h"

enum fw_state { FW_IDLE, FW_DOWNLOADING, FW_DOWNLOADED, FW_UPDATING };
enum fw_result {
    FW_INITIAL = 0,
    FW_SUCCESS = 1,
    FW_NO_FLASH = 2,
    FW_NO_RAM = 3,
    FW_CONNECTION_LOST = 4,
    FW_BAD_INTEGRITY = 5,
    FW_BAD_PACKAGE = 6,
    FW_BAD_URI = 7,
    FW_FAILED = 8,
    FW_BAD_PROTOCOL = 9,
    FW_CANCELLED = 10
};

/* What the owner has to do after a call. */
enum fw_todo { FW_NOTHING, FW_DOWNLOAD, FW_ABORT, FW_REBOOT };

#define FW_URI_MAX     255
#define FW_VERSION_MAX 31
#define FW_HEAD        64 /* bytes of an image that are looked at */

struct firmware {
    enum fw_state state;
    enum fw_result result;
    char uri[FW_URI_MAX + 1];      /* without fragment; "" if pushed */
    char sha256[65];               /* expected, lower case; "" = not given */
    char next[FW_VERSION_MAX + 1]; /* of the image in flash */
    uint64_t done_ms;              /* FW_UPDATING: when it is installed */
};

/* An image that arrived. */
struct fw_image {
    size_t size;
    struct str head; /* its first FW_HEAD bytes */
    uint8_t sha256[32];
};

/* firmware_show writes state, result and version into the tree; called by all others. */
void firmware_show(struct firmware *f, struct tree *t, struct moment now);
enum fw_todo firmware_write_uri(struct firmware *f, struct tree *t, struct str uri,
                                struct moment now);
/* firmware_write_package: an empty package or one NUL byte resets. */
enum fw_todo firmware_write_package(struct firmware *f, struct tree *t,
                                    const struct fw_image *image, struct moment now);
/* firmware_downloaded ends a download that firmware_write_uri asked for; `why` FW_SUCCESS means
 * the transfer is complete and the image is to be verified. */
void firmware_downloaded(struct firmware *f, struct tree *t, enum fw_result why,
                         const struct fw_image *image, struct moment now);
lw_code firmware_execute_update(struct firmware *f, struct tree *t, struct moment now);
lw_code firmware_execute_cancel(struct firmware *f, struct tree *t, struct moment now,
                                enum fw_todo *todo);
/* firmware_tick installs what is due; FW_REBOOT: restart now. */
enum fw_todo firmware_tick(struct firmware *f, struct tree *t, struct moment now);

#endif
