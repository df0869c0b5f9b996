/* lwm2m_wire.h - a device's messages in its dialect.
 *
 * Chooses the dialect, and the content format of values: the json dialect says them as plain JSON
 * unless the server asked for a format; the oma dialect always carries bytes of one (SenML CBOR if
 * none was asked for). */
#ifndef BRAID_SIM_LWM2M_WIRE_H
#define BRAID_SIM_LWM2M_WIRE_H

#include "codec/lwm2m_msg.h"

/* lwm2m_wire_encode writes topic and payload; u->pct is the format asked for, `base` covers all
 * values. */
MUST_CHECK enum err lwm2m_wire_encode(enum lw_dialect dialect, const struct lw_uplink *u,
                                      struct lw_path base, struct buf *topic, struct buf *payload);
/* lwm2m_wire_decode: as the dialects' decode_down. */
MUST_CHECK enum err lwm2m_wire_decode(enum lw_dialect dialect, struct arena *a, struct str topic,
                                      struct str payload, struct lw_typer typer,
                                      struct lw_downlink *out);

#endif
