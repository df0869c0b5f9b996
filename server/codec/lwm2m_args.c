/* lwm2m_args.c - see lwm2m_args.h.
 *
 *   arglist = arg *("," arg)    arg = DIGIT / DIGIT "=" "'" *CHAR "'"
 *   CHAR = "!" / %x23-26 / %x28-5B / %x5D-7E; a space too, which the enabler's own example has */
#include "codec/lwm2m_args.h"

static bool is_char(char c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\'' && c != '\\';
}

/* One argument from the front of *rest. */
static enum err parse_one(struct str *rest, struct lw_args *args)
{
    if (!rest->n || rest->p[0] < '0' || rest->p[0] > '9')
        return ERR_INVALID;
    unsigned digit = (unsigned)(rest->p[0] - '0');
    if (args->given & 1u << digit)
        return ERR_CONFLICT;
    args->given |= (uint16_t)(1u << digit);
    args->order[args->n++] = (uint8_t)digit;
    size_t i = 1;
    if (rest->n > 1 && rest->p[1] == '=') {
        if (rest->n < 4 || rest->p[2] != '\'')
            return ERR_INVALID;
        for (i = 3; i < rest->n && is_char(rest->p[i]);)
            i++;
        if (i == rest->n || rest->p[i] != '\'')
            return ERR_INVALID;
        args->value[digit] = str_make(rest->p + 3, i - 3);
        i++;
    }
    *rest = str_make(rest->p + i, rest->n - i);
    return ERR_OK;
}

enum err lw_args_parse(struct str text, struct lw_args *out)
{
    struct lw_args args = {0};
    while (text.n) {
        enum err e = parse_one(&text, &args);
        if (e)
            return e;
        if (!text.n)
            break;
        if (text.p[0] != ',' || text.n == 1)
            return ERR_INVALID;
        text = str_make(text.p + 1, text.n - 1);
    }
    *out = args;
    return ERR_OK;
}
