#!/usr/bin/env python3
"""A device with both strands on a page: LwM2M (JSON dialect) to be managed, Sparkplug B to report.

    apt install python3-paho-mqtt
    device.py BUNDLE.json [SECONDS]     the answer of "Add device", as it was downloaded
"""
import json, random, ssl, struct, sys, tempfile, time
import paho.mqtt.client as mqtt

bundle, seconds = json.load(open(sys.argv[1])), float(sys.argv[2]) if len(sys.argv) > 2 else 1e9
me, bd_seq, seq = bundle["endpoint"], int(time.time()) % 256, 0
objects = {"3": {"0": {"0": "Braid examples", "1": "device.py"}}, "3303": {"0": {"5700": 21.0}}}
sensor = objects["3303"]["0"]

# ---- Sparkplug B, protobuf by hand: a field is its number and kind, then a varint, 8 bytes, or a length and bytes.
def varint(n):
    return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])
def field(number, value):
    kind, data = (1, struct.pack("<d", value)) if isinstance(value, float) else \
        (0, varint(value)) if isinstance(value, int) else (2, varint(len(value)) + value)
    return varint(number << 3 | kind) + data
def metric(name, value):  # by type: Sparkplug's datatype (Boolean, UInt64, Double) and the field its value is in
    datatype, number = {bool: (11, 14), int: (8, 11), float: (10, 13)}[type(value)]
    return field(2, field(1, name.encode()) + field(3, now()) + field(4, datatype) + field(number, value))
def now():
    return int(time.time() * 1000)
def spb(kind, *metrics):
    global seq
    seq = 0 if kind == "NBIRTH" else (seq + 1) % 256
    client.publish(f"spBv1.0/examples/{kind}/{me}", field(1, now()) + b"".join(metrics) + field(3, seq))
def birth():
    spb("NBIRTH", metric("bdSeq", bd_seq), metric("Node Control/Rebirth", False), metric("Temperature", sensor["5700"]))
death = dict(topic=f"spBv1.0/examples/NDEATH/{me}", payload=field(1, now()) + metric("bdSeq", bd_seq), qos=1)

# ---- LwM2M: register with all values, answer reads and writes.
def lwm2m(word, body):
    return client.publish(f"lwm2m/{me}/{word}", json.dumps(body), qos=1)
def answer(op, path="", value=None, **_):
    values = {f"/{o}/{i}/{r}": v for o, os in objects.items() for i, rs in os.items() for r, v in rs.items()}
    below = [{"path": p, "value": v} for p, v in values.items() if f"{p}/".startswith(f"{path}/")]
    if op == "read" and below:
        return {"code": "2.05", "values": below}
    if op == "write" and path in values:
        _, o, i, r = path.split("/")
        objects[o][i][r] = type(values[path])(value)
        return {"code": "2.04"}
    return {"code": "4.05" if below else "4.04"}

def on_connect(*_):
    client.subscribe([(f"lwm2m/{me}/cmd/#", 1), (f"lwm2m/{me}/ack/#", 1), (f"spBv1.0/+/NCMD/{me}", 1)])
    lwm2m("reg", {"lifetime": 300, "version": "1.2", "objects": objects})
    birth()
def on_message(_client, _userdata, message):
    print(message.topic, message.payload, flush=True)
    if "/NCMD/" in message.topic:
        birth()  # whatever was asked, a birth tells all
    elif "/cmd/" in message.topic:
        lwm2m("resp/" + message.topic.split("/")[-1], answer(**json.loads(message.payload)))

client = mqtt.Client(client_id=me)
client.on_connect, client.on_message = on_connect, on_message
context = ssl.create_default_context(cadata=bundle["ca"])
if bundle["kind"] == "certificate":
    with tempfile.NamedTemporaryFile("w") as pem:
        print(bundle["key"] + bundle["certificate"], file=pem, flush=True)
        context.load_cert_chain(pem.name)
else:
    client.username_pw_set(bundle["username"], bundle["password"])
client.tls_set_context(context)
client.will_set(**death)
client.connect(bundle["host"], bundle["port"], keepalive=30)
client.loop_start()
end = time.time() + seconds
while time.time() < end:
    time.sleep(1)
    sensor["5700"] = round(sensor["5700"] + random.uniform(-0.2, 0.2), 2)
    spb("NDATA", metric("Temperature", sensor["5700"]))
lwm2m("dereg", {}).wait_for_publish(2)
client.publish(**death).wait_for_publish(2)
client.disconnect()
