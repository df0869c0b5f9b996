#!/usr/bin/env python3
"""A device with both strands on a page: device.py BUNDLE.json [SECONDS], the bundle as "Add device" gave it."""
import json, random, struct, sys, tempfile, time
import paho.mqtt.client as mqtt  # Debian: python3-paho-mqtt
bundle, seconds = json.load(open(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 10**9
me, bd_seq, seq = bundle["endpoint"], int(time.time()) % 256, 0
resources = {"/3/0/0": "Braid examples", "/3/0/1": "device.py", "/3303/0/5700": 21.0}

# ---- Sparkplug B, protobuf by hand: a field is its number and kind, then a varint, 8 bytes, or a length and bytes.
def varint(n): return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])
def field(number, value):
    kind, data = (1, struct.pack("<d", value)) if isinstance(value, float) else \
        (0, varint(value)) if isinstance(value, int) else (2, varint(len(value)) + value)
    return varint(number << 3 | kind) + data
def now(): return int(time.time() * 1000)
def metric(name, value):  # by type: Sparkplug's datatype (Boolean, UInt64, Double) and the field its value is in
    datatype, number = {bool: (11, 14), int: (8, 11), float: (10, 13)}[type(value)]
    return field(2, field(1, name.encode()) + field(3, now()) + field(4, datatype) + field(number, value))
def spb(kind, *metrics):
    global seq
    seq = 0 if kind == "NBIRTH" else (seq + 1) % 256
    client.publish(f"spBv1.0/examples/{kind}/{me}", field(1, now()) + b"".join(metrics) + field(3, seq))
def temperature(): return metric("Temperature", resources["/3303/0/5700"])
def birth(): spb("NBIRTH", metric("bdSeq", bd_seq), metric("Node Control/Rebirth", False), temperature())

# ---- LwM2M: register, send all values, answer reads and writes.
def lwm2m(word, **body): return client.publish(f"lwm2m/{me}/{word}", json.dumps(body), qos=1)
def answer(op, path="", value=None, **_):
    values = [{"path": p, "value": v} for p, v in resources.items() if f"{p}/".startswith(f"{path}/")]
    if op == "read" and values:
        return {"code": "2.05", "values": values}
    if op == "write" and path in resources:
        resources[path] = type(resources[path])(value)
        return {"code": "2.04"}
    return {"code": "4.05" if values else "4.04"}
def on_connect(*_):
    client.subscribe([(f"lwm2m/{me}/cmd/#", 1), (f"lwm2m/{me}/ack/#", 1), (f"spBv1.0/+/NCMD/{me}", 1)])
    lwm2m("reg", lifetime=300, version="1.2", links="</3/0>,</3303/0>")
    lwm2m("send", values=answer("read")["values"])
    birth()
def on_message(_client, _userdata, message):
    print(message.topic, message.payload, flush=True)
    if "/NCMD/" in message.topic: birth()  # whatever was asked, a birth tells all
    if "/cmd/" in message.topic: lwm2m("resp/" + message.topic.split("/")[-1], **answer(**json.loads(message.payload)))

# ---- The connection: by certificate or by password, as the bundle says.
client = mqtt.Client(client_id=me)
client.on_connect, client.on_message = on_connect, on_message
client.username_pw_set(bundle.get("username"), bundle.get("password"))
with tempfile.NamedTemporaryFile("w") as pem:  # certificates are read from files only
    print(bundle.get("key", ""), bundle.get("certificate", ""), bundle["ca"], sep="\n", file=pem, flush=True)
    client.tls_set(pem.name, *[pem.name] * 2 if "key" in bundle else [])
client.will_set(f"spBv1.0/examples/NDEATH/{me}", field(1, now()) + metric("bdSeq", bd_seq), qos=1)
client.connect(bundle["host"], bundle["port"], keepalive=30)
client.loop_start()
for _ in range(seconds):
    time.sleep(1)
    resources["/3303/0/5700"] = round(resources["/3303/0/5700"] + random.uniform(-0.2, 0.2), 2)
    spb("NDATA", temperature())
lwm2m("dereg").wait_for_publish(2)  # and no DISCONNECT: the broker publishes the will
