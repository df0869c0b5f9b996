/* description.h - the device description file: what kinds of devices a fleet is made of.
 *
 * JSON, so that new objects and metrics need no recompiling (`braid-sim --description FILE`); the
 * built-in one is simulator/devices/default.json and is the best example.  Its shape:
 *
 *   { "objects": {                         definitions, by object id
 *       "3303": { "name": "Temperature", "version": "1.1", "single": false,
 *         "resources": {
 *           "5700": {"name": "Sensor Value", "type": "float", "ops": "R", "mandatory": true},
 *           "5605": {"name": "Reset Min and Max", "ops": "E"},
 *           "6":    {"type": "integer", "ops": "R", "multiple": true} } } },
 *     "common": { "instances": {...}, "metrics": [...] },      what all kinds have
 *     "kinds": [
 *       { "name": "climate", "sleeper": false, "once": false, "lifetime": 300,
 *         "instances": { "3303": { "0": {            object, instance, resource: value
 *             "5701": "Cel",                          fixed
 *             "5700": {"signal": "diurnal", "mean": 21, "amplitude": 3, "decimals": 2} },
 *             "6": [1, 5] } },                        resource instances 0 and 1
 *         "metrics": [                                Sparkplug metrics of the edge node
 *           {"name": "Environment/Temperature", "type": "Double", "unit": "Cel",
 *            "resource": "/3303/0/5700", "history": true},          the LwM2M resource's value
 *           {"name": "Fan/Speed", "type": "Int32", "value": {"signal": "walk", ...}},
 *           {"name": "Setpoint", "type": "Double", "value": 21.5, "writable": true} ],
 *         "devices": [ {"name": "valve-1", "metrics": [...]} ] } ] }
 *
 * Types of resources are string integer unsigned float boolean opaque time objlnk corelnk; of
 * metrics the scalar Sparkplug datatypes.  A metric with "resource" shows that resource and a
 * write to either is seen by both.  "history": one value per minute of the last 24 h is sent at
 * the first start.  "once": only one device of the fleet is of this kind (the first ones; the rest
 * of the fleet takes turns among the others); "sleeper": queue mode, silent for minutes.
 * Signals and their parameters: wave.h; "values" names the states of states and square, text too.
 *
 * A description is read once and never changes, so threads share it. */
#ifndef BRAID_SIM_DESCRIPTION_H
#define BRAID_SIM_DESCRIPTION_H

#include "codec/lwm2m_path.h"
#include "source.h"

struct desc_resource {
    uint16_t id;
    enum lw_type type; /* LW_NONE for executables */
    bool readable, writable, executable, multiple, mandatory;
};

struct desc_object {
    uint16_t id;
    bool single;
    struct str version;                    /* .p NULL: the implied one */
    const struct desc_resource *resources; /* by id */
    size_t n;
};

struct desc_cell {
    struct lw_path path; /* three levels, or four for a resource instance */
    const struct desc_resource *res;
    struct source source;
};

struct desc_metric {
    struct str name;
    unsigned datatype;
    enum lw_type type; /* how the value is held here */
    struct str unit;   /* .p NULL: none */
    bool writable, history;
    bool linked; /* shows the resource at `path` */
    struct lw_path path;
    struct source source; /* otherwise */
};

struct desc_device {
    struct str name; /* .p NULL: the edge node itself */
    const struct desc_metric *metrics;
    size_t n;
};

struct desc_kind {
    struct str name;
    bool sleeper, once;
    uint32_t lifetime;
    const struct desc_cell *cells; /* by path */
    size_t n_cells;
    const struct lw_path *instances; /* by path, two levels */
    size_t n_instances;
    const struct desc_device *devices; /* the first one is the node */
    size_t n_devices;
};

struct description; /* opaque */

/* description_new reads a description.  On failure `why` (at least 160 bytes) says what is wrong
 * and where, for a person. */
MUST_CHECK enum err description_new(struct str json, struct description **out, char *why,
                                    size_t why_size);
void description_free(struct description *d);

size_t description_kinds(const struct description *d);
const struct desc_kind *description_kind(const struct description *d, size_t i);
/* description_kind_for picks the kind of the fleet's device number `index` (from 0). */
const struct desc_kind *description_kind_for(const struct description *d, size_t index);
const struct desc_object *description_object(const struct description *d, uint16_t id);
const struct desc_resource *desc_resource_find(const struct desc_object *o, uint16_t id);
/* description_typer answers the codecs' questions about resource types. */
struct lw_typer description_typer(const struct description *d);

/* The built-in description (simulator/devices/default.json). */
struct str description_builtin(void);

#endif
