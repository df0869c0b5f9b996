/* lwm2m_execute.h - what executing a resource does (Core 1.2.2 section 6.3.5).
 *
 * One table row per executable that means something to a simulated device; any other executable of
 * its objects just succeeds.  What goes beyond the data is returned as effects. */
#ifndef BRAID_SIM_LWM2M_EXECUTE_H
#define BRAID_SIM_LWM2M_EXECUTE_H

#include "firmware.h"
#include "lwm2m_ops.h"

/* What a command asks of the device around the data. */
enum lwm2m_effect {
    LWM2M_REBOOT = 1 << 0,
    LWM2M_DOWNLOAD = 1 << 1,      /* fetch the firmware object's uri */
    LWM2M_ABORT = 1 << 2,         /* stop fetching */
    LWM2M_DISABLE = 1 << 3,       /* gone for the seconds of /1/0/5 */
    LWM2M_FACTORY_RESET = 1 << 4, /* forget what was written, then reboot */
    LWM2M_CHANGED = 1 << 5,       /* somebody wrote: the other strand may have news */
    LWM2M_REGISTERED = 1 << 6,    /* the server confirmed a registration */
    LWM2M_UPDATE = 1 << 7         /* an Update is asked for */
};

/* lwm2m_execute obeys an Execute: fills r->code (and r->error) and returns effects. */
unsigned lwm2m_execute(struct tree *t, struct firmware *f, const struct lw_downlink *d,
                       struct ops_result *r, struct moment now);
/* lwm2m_effect_of says what the firmware object's wish means for the device. */
unsigned lwm2m_effect_of(enum fw_todo todo);

#endif
