/* labels.h - tags (key = value) and static groups of devices.
 *
 * They are durable terms: they live in SQL only and are joined to the shards' rows by endpoint
 * where a list is answered, so a restart, a rename or a restored backup needs no care.  A device's
 * labels have a version, a hash of what they are; "set only if still so" compares it inside the
 * transaction.  Edits are serialised by one advisory lock: they are rare, and it makes old and new
 * in the audit log exact. */
#ifndef BRAID_STORE_LABELS_H
#define BRAID_STORE_LABELS_H

#include "base/arena.h"
#include "store/queries.h"

#define LABEL_TAGS_MAX    64 /* of one device */
#define LABEL_GROUPS_MAX  64
#define LABEL_KEY_MAX     64
#define LABEL_VALUE_MAX   256
#define LABEL_DEVICES_MAX 10000 /* of one edit */
#define LABEL_VERSION     33    /* 32 hex digits and NUL */

/* label_key_ok: 1 to 64 bytes of UTF-8 without control characters and without any of = : , so that
 * key:value and lists stay readable.  label_value_ok: up to 256 bytes without control characters.
 * group_name_ok: as a key, but = and : are fine, / is not, and no blank at either end. */
bool label_key_ok(struct str key);
bool label_value_ok(struct str value);
bool group_name_ok(struct str name);

/* One device's labels; texts in the caller's arena. */
struct labels {
    struct str tags;   /* JSON object, .p NULL: the database knows no such device (yet) */
    struct str groups; /* JSON array */
    char version[LABEL_VERSION];
};
/* labels_of finds the labels of n endpoints in their order; out[] is the caller's. */
MUST_CHECK enum err labels_of(struct pg *db, struct arena *a, const struct str *endpoints, size_t n,
                              struct labels *out);

/* What a device must have, all of it. */
struct label_want {
    struct str key, value; /* value.p NULL: any */
    struct str group;      /* instead of key */
};
/* labels_match finds the devices that have all of `want` (at least one): a bit for each device id,
 * *n_bits of them, in the caller's arena. */
MUST_CHECK enum err labels_match(struct pg *db, struct arena *a, const struct label_want *want,
                                 size_t n, uint64_t **bits, size_t *n_bits);

/* One edit of many devices.  With `replace` tags and groups are what `set` and `join` say,
 * otherwise set, remove, join and leave change them.  JSON texts; NULL: nothing. */
struct label_edit {
    bool replace_tags, replace_groups;
    struct str set;         /* {"key":"value"} */
    struct str remove;      /* ["key"] */
    struct str join, leave; /* ["group"] */
    struct str if_version;  /* .p NULL: whatever it was */
    struct str who, from;   /* for the audit rows, one per changed device */
};
/* What became of one device. */
struct label_result {
    struct str endpoint;
    struct str result; /* changed, unchanged, not_found, too_many_tags, too_many_groups, stale */
};
/* labels_edit changes them all in one transaction, each device for itself.  ERR_NOTFOUND: a group
 * of join does not exist (*missing names it), then nothing was changed. */
MUST_CHECK enum err labels_edit(struct pg *db, struct arena *a, const struct str *endpoints,
                                size_t n, const struct label_edit *edit, struct label_result *out,
                                size_t *n_out, struct str *missing);

/* Lists, as JSON.  labels_tags: every key with its number of devices and its most used values. */
MUST_CHECK enum err labels_tags(struct pg *db, struct json_out *j);
/* labels_list: labels of all devices that have any, by endpoint. */
MUST_CHECK enum err labels_list(struct pg *db, struct q_page page, struct json_out *j);
MUST_CHECK enum err groups_list(struct pg *db, struct q_page page, struct json_out *j);
/* group_get writes {name, devices, created_at}; *version is its ETag.  ERR_NOTFOUND. */
MUST_CHECK enum err group_get(struct pg *db, struct str name, char version[LABEL_VERSION],
                              struct json_out *j);
MUST_CHECK enum err group_members(struct pg *db, struct str name, struct q_page page,
                                  struct json_out *j);            /* ERR_NOTFOUND */
MUST_CHECK enum err group_insert(struct pg *db, struct str name); /* ERR_EXISTS */
/* ERR_NOTFOUND, ERR_EXISTS (rename), ERR_AGAIN: if_version (.p NULL: any) is not its version. */
MUST_CHECK enum err group_rename(struct pg *db, struct str name, struct str new_name,
                                 struct str if_version);
MUST_CHECK enum err group_delete(struct pg *db, struct str name, struct str if_version,
                                 int64_t *members);

#endif
