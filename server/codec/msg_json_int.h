/* msg_json_int.h - the words of the json dialect, shared by its two sides.  Private. */
#ifndef BRAID_CODEC_MSG_JSON_INT_H
#define BRAID_CODEC_MSG_JSON_INT_H

#include "codec/lwm2m_msg.h"

#define MSG_JSON_MAX ((size_t)1 << 20)

/* What a device says: lwm2m/{ep}/{word}[/{token}]. */
struct up_word {
    const char *word;
    enum lw_up kind;
    bool has_token; /* in the topic */
    bool may_be_empty;
};
#define MSG_JSON_UP_WORDS 11
extern const struct up_word msg_json_up[MSG_JSON_UP_WORDS]; /* first row of a kind: its own word */

/* msg_json_split takes "lwm2m/{ep}/{tail}" apart; false if it is no such topic. */
bool msg_json_split(struct str topic, struct str *endpoint, struct str *tail);
/* msg_json_member is json_get, with null as absent. */
const struct json_node *msg_json_member(const struct json_node *o, const char *key);
/* msg_json_payload reads `ct` and the base64 of `payload`, if they are there. */
MUST_CHECK enum err msg_json_payload(struct arena *a, const struct json_node *root, unsigned *ct,
                                     struct str *payload);
MUST_CHECK enum err msg_json_paths(struct arena *a, const struct json_node *list,
                                   struct lw_path **out, size_t *n);
void msg_json_put_path(struct json_out *j, const char *key, struct lw_path p);
void msg_json_put_code(struct json_out *j, lw_code code);
/* msg_json_put_payload writes "ct" and "payload". */
void msg_json_put_payload(struct json_out *j, unsigned ct, struct str payload);

#endif
