/* model_data.h - objects.json as bytes, made into an array by the build (embed.cmake). */
#ifndef BRAID_LWM2M_MODEL_DATA_H
#define BRAID_LWM2M_MODEL_DATA_H

#include <stddef.h>

extern const unsigned char lw_model_data[];
extern const size_t lw_model_data_size;

#endif
