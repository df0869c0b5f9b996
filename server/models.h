/* models.h - the object model as this site has it: what is built in, and its own files over it. */
#ifndef BRAID_MODELS_H
#define BRAID_MODELS_H

#include "lwm2m/model.h"

/* models_load reads every *.json of `dir` ("" for none), by name, over the built-in model.  On
 * failure it has logged which file, object and resource is wrong, and how. */
MUST_CHECK enum err models_load(const char *dir, struct lw_model **out);

#endif
