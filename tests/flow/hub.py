"""The part of tests/flow/hub that needs clients which do not come back by themselves."""
import base64
import hashlib
import re
import signal
from dps import *
import mqtt

DATA = f"{LAB}/data"
HUB = os.environ["LAB_HUB"]
NOT_AUTHORISED = 5


def make(*words):
    done = subprocess.run([f"{BUILD}/bin/make_device", DATA, *map(str, words)],
                          capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0, f"make_device {words} to work: {done.stderr}")
    return done.stdout.strip()


def sas(device, seconds=3600, resource=None):
    return make("token", device, seconds, *([resource] if resource else []))


def log():
    with open(f"{LAB}/hub.log", errors="replace") as f:
        return f.read()


def connect(device, seconds=3600, **more):
    client = mqtt.Client(device, device, sas(device, seconds), **more)
    expect(client.code == 0, f"{device} to be let in, not {client.code}")
    return client


def operator(client_id="operator-2", password="", **more):
    return mqtt.Client(client_id, os.environ["BACKEND_USER"],
                       password or os.environ["BACKEND_PASSWORD"], **more)


def refuse(what, client_id, username, password, reason):
    before = len(log())
    client = mqtt.Client(client_id, username, password)
    expect(client.code == NOT_AUTHORISED, f"{what} to be refused, not {client.code}")
    expect(client.wait(5) is not None, f"{what} to be disconnected")
    expect(re.search(f"cradle: refused client.*{reason}", log()[before:]),
           f"'{reason}' in the log for {what}: {log()[before:]}")


# ---- telemetry at the back end, in order ----
backend = operator("watcher")
expect(backend.code == 0, "the back end to be let in")
expect(backend.subscribe("devices/+/messages/events/#") == 1, "the back end to subscribe")
marks = iter(range(10**6))
marker = connect("valve:3")


def arrived():
    """What the back end received since the last call: a marker of ours ends the waiting."""
    mark = f"mark-{next(marks)}"
    marker.publish("devices/valve:3/messages/events/", mark)
    while not any(m[1] == mark for m in backend.messages):
        backend.packet(5)
    got = [m[:2] for m in backend.messages if not m[1].startswith("mark-")]
    backend.messages.clear()
    return got


# ---- tokens and names ----
good = sas("pump-1")
long_name = f"{HUB}/pump-1/?api-version=2021-04-12"
flipped = good.replace("sig=", "sig=%41", 1)
for what, arguments in {
        "no user name": ("pump-1", None, None, None),
        "no password": ("pump-1", "pump-1", None, "no user name or no password"),
        "empty password": ("pump-1", "pump-1", "", "no user name or no password"),
        "not a token": ("pump-1", "pump-1", "hunter2", "not a shared access signature"),
        "signature cut": ("pump-1", "pump-1", flipped, "not a shared access signature"),
        "other resource": ("pump-1", "pump-1", sas("pump-1", 3600, f"{HUB}%2Fdevices%2Fpump-2"),
                           "another resource"),
        "registration's resource": ("pump-1", "pump-1",
                                    sas("pump-1", 3600, f"{SCOPE}%2Fregistrations%2Fpump-1"),
                                    "another resource"),
        "whole hub": ("pump-1", "pump-1", sas("pump-1", 3600, HUB), "another resource"),
        "expired": ("pump-1", "pump-1", sas("pump-1", -310), "expired or is valid for too long"),
        "far future": ("pump-1", "pump-1", sas("pump-1", 2 * 86400), "valid for too long"),
        "other hub": ("pump-1", "other.cradle.test/pump-1/?api-version=1", good, "another hub"),
        "no api-version": ("pump-1", f"{HUB}/pump-1/", good, "neither"),
        "other client id": ("pump-2", "pump-1", good, "client id is not the device id"),
        "other user name": ("pump-1", "pump-2", good, "client id is not the device id"),
        "both others": ("pump-2", "pump-2", good, "another resource"),
        "second spelling": ("PUMP-1", "pump-1", good, "client id is not the device id"),
        "module": ("pump-1/module", "pump-1", good, "client id is not the device id"),
        "unknown device": ("ghost-1", "ghost-1", sas("pump-1", 3600, f"{HUB}%2Fdevices%2Fghost-1"),
                           "not provisioned"),
        "signed by another": ("pump-2", "pump-2", sas("pump-1", 3600, f"{HUB}%2Fdevices%2Fpump-2"),
                              "not signed with the device's current key"),
        "other hub's device": ("stray-1", "stray-1",
                               sas("stray-1", 3600, f"{HUB}%2Fdevices%2Fstray-1"),
                               "assigned to another hub"),
}.items():
    if arguments[3] is None:
        expect(mqtt.Client(*arguments[:3]).code == NOT_AUTHORISED, f"{what} to be refused")
    else:
        refuse(what, *arguments)
    case(f"refused: {what}")
expect(mqtt.Client("", "pump-1", good).code != 0, "an empty client id to be refused")
refuse("a name made for the log", "pump\\'\u2028%s%n", "pump-1' from 1.2.3.4: welcome", good,
       r"'pump\\x5c\\x27\\xe2\\x80\\xa8%s%n' user 'pump-1\\x27 from")
refuse("a long name", "x" * 60000, "y" * 60000, good, r"'x{140,156}\.\.\.' user 'y{140,156}\.\.\.'")
case("T18 names in the log")

for what, username, resource in (
        ("raw slashes", long_name, f"{HUB}/devices/pump-1"),
        ("lower-case escapes", long_name, f"{HUB}%2fdevices%2fpump-1"),
        ("upper case", long_name.replace("hub.", "HUB."), f"HUB.{HUB[4:]}%2FDEVICES%2FPUMP-1")):
    client = mqtt.Client("pump-1", username, sas("pump-1", 3600, resource))
    expect(client.code == 0, f"{what} to be let in, not {client.code}")
    client.close()
double = mqtt.Client("pump-1", "pump-1", sas("pump-1", -200))
expect(double.code == 0, "a clock 200 s slow to be let in")
double.close()
case("spellings of a good token")

# ---- topics ----
for version, denied in ((4, 0x80), (5, 0x87)):
    pump = connect("pump-1", version=version)
    for topic in ("#", "+/#", "$SYS/#", "devices/#", "devices/+/messages/devicebound/#",
                  "devices/pump-2/messages/devicebound/#", "devices/pump-1/messages/events/#",
                  "devices/pump-1/#", "$share/g/devices/pump-1/messages/devicebound/#",
                  "$share/g/#"):
        expect(pump.subscribe(topic) == denied, f"{topic} to be refused")
    expect(pump.subscribe("devices/pump-1/messages/devicebound/#") == 1, "own commands")
    arrived()
    for topic in ("devices/pump-2/messages/events/", "devices/pump-1/messages/events",
                  "devices/pump-1/messages/devicebound/x", "devices/pump-11/messages/events/",
                  "other", "$SYS/broker/x"):
        code = pump.publish(topic, "stolen")
        expect(version == 4 or code == 0x87, f"publishing to {topic} to be refused, not {code}")
    code = pump.publish("devices/pump-1/messages/events/", "kept", retain=True)
    expect(version == 4 or code == 0x87, f"a retained message to be refused, not {code}")
    pump.publish("devices/pump-1/messages/events/%24.mid=1&a=b", "mine")
    expect(arrived() == [("devices/pump-1/messages/events/%24.mid=1&a=b", "mine")],
           "only the device's own telemetry to arrive")
    expect(not pump.messages, "no message to a device from itself")
    pump.close()
late = operator("late")
late.subscribe("devices/#")
expect(late.wait(0.5) is None and not late.messages, "nothing to be retained")
late.close()
case("a device's topics")

pump, other = connect("pump-1"), connect("pump-2")
for client, device in ((pump, "pump-1"), (other, "pump-2")):
    expect(client.subscribe(f"devices/{device}/messages/devicebound/#") == 1, "own commands")
backend.publish("devices/pump-1/messages/devicebound/x", "open")
pump.packet(5)
expect(pump.messages == [("devices/pump-1/messages/devicebound/x", "open", False)], "the command")
expect(other.wait(0.5) is None and not other.messages, "no command for another device")
for topic in ("#", "$SYS/#", "+/pump-1/#"):
    expect(backend.subscribe(topic) == 0x80, f"{topic} to be refused to the back end")
backend.publish("devices/pump-1/messages/events/", "forged")
expect(arrived() == [], "the back end not to speak as a device")
case("commands")

pump.close()
other.close()
pump = connect("pump-1", 3, clean=False)
for i in range(16):
    expect(pump.subscribe(f"devices/pump-1/messages/devicebound/{i}") == 1, f"subscription {i}")
expect(pump.subscribe("devices/pump-1/messages/devicebound/more") == 0x80, "a limit")
expect(pump.wait(10) is not None, "the token to end")
for i in range(16):
    backend.publish(f"devices/pump-1/messages/devicebound/{i}", "kept")
pump = connect("pump-1", clean=False)
expect(pump.wait(1) is None and len(pump.messages) == 16, "the subscriptions to survive their session's end")
pump.close()
connect("pump-1").close()
case("a device's subscriptions are few")

# ---- wills ----
for topic, retain, speaks in (("devices/pump-1/messages/events/", False, True),
                              ("devices/pump-2/messages/events/", False, False),
                              ("devices/pump-1/messages/devicebound/x", False, False),
                              ("devices/pump-1/messages/events/", True, False),
                              ("$SYS/broker/x", False, False)):
    arrived()
    connect("pump-1", will=(topic, "last words", retain)).drop()
    time.sleep(0.5)
    expect(arrived() == ([(topic, "last words")] if speaks else []), f"the will to {topic}")
case("wills stay in the device's events")

# ---- ends of sessions ----
proof = sas("pump-1", 3)
bystander = connect("pump-2")
pump = mqtt.Client("pump-1", "pump-1", proof, will=("devices/pump-1/messages/events/", "over", False))
expect(pump.code == 0, "a short token to be let in")
took = pump.wait(10)
expect(took and 1 <= took <= 5, f"the session to end with its token, not after {took} s")
expect(("devices/pump-1/messages/events/", "over") in arrived(), "a will at the token's end")
refuse("the token again", "pump-1", "pump-1", proof, "expired, a session ended with it")
case("a session ends with its token")

pump = connect("pump-1", will=("devices/pump-1/messages/events/", "revoked", False))
make("disable", "pump-1")
took = pump.wait(10)
expect(took is not None and took <= 4, f"a disabled device to be disconnected, not after {took} s")
refuse("a disabled device", "pump-1", "pump-1", sas("pump-1"), "disabled")
expect(arrived() == [], "no will of a disabled device")
make("enable", "pump-1")
case("a session ends when the device is disabled")

proof = sas("pump-1")
pump = connect("pump-1")
make("bump", "pump-1")
took = pump.wait(10)
expect(took is not None and took <= 4, f"the old generation to be disconnected, not after {took} s")
refuse("the old generation's token", "pump-1", "pump-1", proof, "current key")
connect("pump-1").close()
case("a session ends when the device is provisioned anew")

first = connect("pump-1", 4)
second = connect("pump-1")
expect(first.wait(3) is not None, "the first connection to be closed by the second")
expect(second.wait(6) is None, "the second to outlive the first one's token")
make("bump", "pump-1")
took = second.wait(10)
expect(took is not None and took <= 4, "the second still to be watched")
case("takeover")

bystander.ping()
expect(bystander.subscribe("devices/pump-2/messages/devicebound/#") == 1, "bystanders to stay")
case("nobody else was disturbed")

# ---- sessions that outlive their connection, and a reload ----
def reload():
    before = len(log())
    with open(f"{LAB}/pid.hub") as pid:
        os.kill(int(pid.read()), signal.SIGHUP)
    until = time.monotonic() + 10
    while "Reloading config" not in log()[before:]:
        expect(time.monotonic() < until, "the broker to reload")
        time.sleep(0.05)
    time.sleep(0.3)


absent = connect("pump-1", clean=False)
absent.subscribe("devices/pump-1/messages/devicebound/#")
absent.drop()
make("disable", "pump-1")
before = len(log())
reload()
expect("cradle: refused" not in log()[before:], "no absent device to be refused by a reload")
make("enable", "pump-1")
bystander.ping()
backend.publish("devices/pump-1/messages/devicebound/x", "while absent")
absent = connect("pump-1", clean=False)
absent.packet(5)
expect(absent.messages == [("devices/pump-1/messages/devicebound/x", "while absent", False)],
       "a command for an absent device to wait")
absent.close()
case("absent devices, and a reload")

with open(f"{DATA}/cradle.ini") as f:
    config = f.read()
salt = os.urandom(16)
stored = "$".join(("pbkdf2-sha256", "20000", base64.b64encode(salt).decode(),
                   base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"changed", salt, 20000)).decode()))
with open(f"{DATA}/cradle.ini", "w") as f:
    f.write(re.sub(r"(?m)^password.*$", f"password = {stored}", config))
reload()
expect(backend.wait(5) is not None, "consumers with the old password to be disconnected")
bystander.ping()
start = time.monotonic()
for i in range(40):
    expect(operator(password=f"guess {i}").code == NOT_AUTHORISED, "a wrong password to be refused")
    connect("pump-1").close()
expect("too many tries" in log(), "guessing to be slowed down")
expect(operator().code == NOT_AUTHORISED, "the old password to be refused")
time.sleep(2.1)
backend = operator(password="changed")
expect(backend.code == 0, "the new password to be let in")
for i in range(40):
    expect(operator(password=f"guess {i}").code == NOT_AUTHORISED, "a wrong password to be refused")
expect(operator(password="changed").code == 0, "the right one beside wrong ones to be let in")
case("the back end's password")

proof = sas("pump-1")
with open(f"{DATA}/cradle.ini", "w") as f:
    f.write("[service]\nnonsense = 1\n")
reload()
expect("not reloaded" in log(), "a broken configuration to be named")
expect(mqtt.Client("pump-1", "pump-1", proof).code == 0, "devices to be let in")
expect(operator("again", password="changed").code == 0, "the old settings to stay")
with open(f"{DATA}/cradle.ini", "w") as f:
    f.write(config)
reload()
case("a broken configuration changes nothing")
