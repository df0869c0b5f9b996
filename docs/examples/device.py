#!/usr/bin/env python3
"""A device with both strands on a page: LwM2M (JSON dialect) to be managed, Sparkplug B to report.

    apt install python3-paho-mqtt
    device.py BUNDLE.json [SECONDS]     the answer of "Add device", as it was downloaded
"""
import json, os, random, ssl, struct, sys, tempfile, time
import paho.mqtt.client as mqtt

bundle = json.load(open(sys.argv[1]))
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1e9
me, group, bd_seq = bundle["endpoint"], "examples", 0
started, resources = int(time.time() * 1000), {"/3/0/0": "Braid examples", "/3/0/1": "device.py", "/3303/0/5700": 21.0}

# ---- Sparkplug B: a protobuf payload by hand. A field is key = number << 3 | kind, then its value.
def varint(n):
    return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])
def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value
def metric(name, kind, value):  # kind: Sparkplug's datatype (8 UInt64, 10 Double, 11 Boolean)
    data = {8: lambda: b"\x58" + varint(value), 10: lambda: b"\x69" + struct.pack("<d", value),
            11: lambda: b"\x70" + bytes([value])}[kind]()
    return field(2, field(1, name.encode()) + b"\x18" + varint(int(time.time() * 1000)) + b"\x20" + bytes([kind]) + data)
seq = -1
def spb(kind, *metrics):
    global seq
    seq = 0 if kind == "NBIRTH" else (seq + 1) % 256
    payload = b"\x08" + varint(int(time.time() * 1000)) + b"".join(metrics) + b"\x18" + varint(seq)
    client.publish(f"spBv1.0/{group}/{kind}/{me}", payload)
def born():
    spb("NBIRTH", metric("bdSeq", 8, bd_seq), metric("Node Control/Rebirth", 11, 0),
        metric("Temperature", 10, resources["/3303/0/5700"]))

# ---- LwM2M: register, answer reads, writes and executes.
def objects():
    tree = {}
    for path, value in resources.items():
        o, i, r = path.split("/")[1:]
        tree.setdefault(o, {}).setdefault(i, {})[r] = value
    return tree
def lwm2m(word, body):
    client.publish(f"lwm2m/{me}/{word}", json.dumps(body), qos=1)
def on_command(token, c):
    under = {p: v for p, v in resources.items() if (p + "/").startswith(c.get("path", "") + "/")}
    if c["op"] == "read":
        answer = {"code": "2.05", "values": [{"path": p, "value": v} for p, v in under.items()]} if under else {"code": "4.04"}
    elif c["op"] == "write" and "value" in c:
        resources[c["path"]] = c["value"]
        answer = {"code": "2.04"}
    else:
        answer = {"code": "4.05"}
    lwm2m(f"resp/{token}", answer)

def on_connect(client, _, flags, rc):
    client.subscribe([(f"lwm2m/{me}/cmd/#", 1), (f"lwm2m/{me}/ack/#", 1), (f"spBv1.0/+/NCMD/{me}", 1)])
    lwm2m("reg", {"lifetime": 300, "version": "1.2", "objects": objects()})
    born()
def on_message(client, _, message):
    if "/NCMD/" in message.topic:
        born()  # whatever was asked, a birth tells all
    elif "/cmd/" in message.topic:
        on_command(message.topic.split("/")[-1], json.loads(message.payload))
    else:
        print(message.topic, message.payload.decode(), flush=True)

client = mqtt.Client(client_id=me)
client.on_connect, client.on_message = on_connect, on_message
context = ssl.create_default_context(cadata=bundle["ca"])
if bundle["kind"] == "certificate":
    with tempfile.NamedTemporaryFile("w") as pem:
        pem.write(bundle["key"] + bundle["certificate"])
        pem.flush()
        context.load_cert_chain(pem.name)
else:
    client.username_pw_set(bundle["username"], bundle["password"])
client.tls_set_context(context)
client.will_set(f"spBv1.0/{group}/NDEATH/{me}", b"\x08" + varint(started) + metric("bdSeq", 8, bd_seq), qos=1)
client.connect(bundle["host"], bundle["port"], keepalive=30)
client.loop_start()
end = time.time() + seconds
while time.time() < end:
    time.sleep(1)
    resources["/3303/0/5700"] = round(resources["/3303/0/5700"] + random.uniform(-0.2, 0.2), 2)
    spb("NDATA", metric("Temperature", 10, resources["/3303/0/5700"]))
lwm2m("dereg", {})
time.sleep(0.3)
client.publish(f"spBv1.0/{group}/NDEATH/{me}", b"\x08" + varint(started) + metric("bdSeq", 8, bd_seq), qos=1).wait_for_publish(2)
client.disconnect()
