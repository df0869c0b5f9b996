/* lwm2m_msg.c - what all dialects share: codes, tokens, endpoint names (see lwm2m_msg.h). */
#include "codec/lwm2m_msg.h"

#define ENDPOINT_MAX 64

static const struct {
    lw_code code;
    const char *phrase;
} phrases[] = {
    {LW_CREATED, "Created"},
    {LW_DELETED, "Deleted"},
    {LW_CHANGED, "Changed"},
    {LW_CONTENT, "Content"},
    {LW_BAD_REQUEST, "Bad Request"},
    {LW_UNAUTHORIZED, "Unauthorized"},
    {402, "Bad Option"},
    {LW_FORBIDDEN, "Forbidden"},
    {LW_NOT_FOUND, "Not Found"},
    {LW_NOT_ALLOWED, "Method Not Allowed"},
    {LW_NOT_ACCEPTABLE, "Not Acceptable"},
    {408, "Request Entity Incomplete"},
    {LW_CONFLICT, "Conflict"},
    {LW_PRECONDITION, "Precondition Failed"},
    {LW_TOO_LARGE, "Request Entity Too Large"},
    {LW_UNSUPPORTED_FORMAT, "Unsupported Content-Format"},
    {LW_INTERNAL, "Internal Server Error"},
    {LW_NOT_IMPLEMENTED, "Not Implemented"},
    {LW_UNAVAILABLE, "Service Unavailable"},
};

void lw_code_text(lw_code c, char out[8])
{
    unsigned class = c / 100 % 10, detail = c % 100;
    out[0] = (char)('0' + class);
    out[1] = '.';
    out[2] = (char)('0' + detail / 10);
    out[3] = (char)('0' + detail % 10);
    out[4] = '\0';
}

enum err lw_code_parse(struct str text, lw_code *out)
{
    char digits[3];
    size_t n = 0;
    bool dotted = text.n == 4 && text.p[1] == '.';
    if (!dotted && text.n != 3)
        return ERR_INVALID;
    for (size_t i = 0; i < text.n; i++) {
        if (dotted && i == 1)
            continue;
        if (text.p[i] < '0' || text.p[i] > '9')
            return ERR_INVALID;
        digits[n++] = text.p[i];
    }
    unsigned v = (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0');
    if (v < 200 || v > 599 || v % 100 > 31) /* what CoAP's code byte can hold */
        return ERR_RANGE;
    *out = (lw_code)v;
    return ERR_OK;
}

const char *lw_code_phrase(lw_code c)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].code == c)
            return phrases[i].phrase;
    return "";
}

bool lw_token_parse(struct str s, struct lw_token *out)
{
    if (!s.n || s.n > LW_TOKEN_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '_'))
            return false;
    }
    *out = (struct lw_token){{0}};
    memcpy(out->text, s.p, s.n);
    return true;
}

enum err lw_endpoint_check(struct str ep)
{
    if (!ep.n || ep.n > ENDPOINT_MAX || !str_utf8_valid(ep))
        return ERR_INVALID;
    for (size_t i = 0; i < ep.n; i++) {
        unsigned char c = (unsigned char)ep.p[i];
        if (c < 0x20 || c == 0x7f || c == '+' || c == '#' || c == '/')
            return ERR_INVALID;
    }
    if (str_is(ep, "rd") || str_is(ep, "bs") || str_is(ep, "STATE") || str_starts(ep, "braid-"))
        return ERR_DENIED;
    return ERR_OK;
}

bool lw_down_has_path(enum lw_down op)
{
    return op != LW_DOWN_READ_COMPOSITE && op != LW_DOWN_WRITE_COMPOSITE &&
           op != LW_DOWN_OBSERVE_COMPOSITE && op != LW_DOWN_CANCEL && op != LW_DOWN_ACK;
}

const char *const lw_down_words[LW_DOWN_COUNT] = {
    [LW_DOWN_READ] = "read",
    [LW_DOWN_DISCOVER] = "discover",
    [LW_DOWN_WRITE] = "write",
    [LW_DOWN_WRITE_UPDATE] = "write",
    [LW_DOWN_WRITE_ATTRIBUTES] = "write-attributes",
    [LW_DOWN_EXECUTE] = "execute",
    [LW_DOWN_CREATE] = "create",
    [LW_DOWN_DELETE] = "delete",
    [LW_DOWN_READ_COMPOSITE] = "read-composite",
    [LW_DOWN_WRITE_COMPOSITE] = "write-composite",
    [LW_DOWN_OBSERVE] = "observe",
    [LW_DOWN_OBSERVE_COMPOSITE] = "observe-composite",
    [LW_DOWN_CANCEL] = "cancel",
    [LW_DOWN_ACK] = "ack",
};
