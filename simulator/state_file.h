/* state_file.h - the little a device must not forget when the simulator restarts.
 *
 * One small text file per device (key=value lines), replaced as a whole.  Sparkplug wants bdSeq to
 * go on where it was; the history must be sent only once; an installed firmware stays installed. */
#ifndef BRAID_SIM_STATE_FILE_H
#define BRAID_SIM_STATE_FILE_H

#include "base/str.h"
#include "firmware.h"

struct device_state {
    bool known; /* a file was found */
    uint8_t bd_seq;
    bool history_sent;
    char firmware[FW_VERSION_MAX + 1]; /* "" = as described */
};

/* state_load reads DIR/NAME; a missing or damaged file gives the zero state.  dir NULL: nothing is
 * remembered. */
void state_load(const char *dir, struct str name, struct device_state *out);
/* state_save replaces it.  ERR_IO. */
MUST_CHECK enum err state_save(const char *dir, struct str name, const struct device_state *s);

#endif
