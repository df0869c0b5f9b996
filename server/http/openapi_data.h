/* openapi_data.h - docs/openapi.yaml as bytes, made into an array by the build. */
#ifndef BRAID_HTTP_OPENAPI_DATA_H
#define BRAID_HTTP_OPENAPI_DATA_H

#include <stddef.h>

extern const unsigned char openapi_data[];
extern const size_t openapi_data_size;

#endif
