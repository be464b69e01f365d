"""What clients of the service API see. Each case is named for the habit it holds."""
import base64
import os
import re
import sys
import time
import urllib.parse

from dps import LAB, SERVICE, Client, case, expect, refused
from eklist import ecc, points, rsa
from svc import Operator, derived_key, key_enrollment, owner_key, tpm_enrollment

EKS = [ecc(p) for p in points(60, 1000)]
op = Operator(key=owner_key())
secrets = []


def ok(answer, status=200):
    expect(answer.status == status, f"{status}, not {answer}")
    return answer.json


def pem(name):
    with open(f"{LAB}/{name}.pem") as f:
        return f.read()


# ---- one enrollment -----------------------------------------------------------------------------
def test_put_answers_with_what_was_sent_and_nothing_else():
    made = ok(op.put("/enrollments/press-1", tpm_enrollment("press-1", EKS[0])))
    expect(set(made) == {"registrationId", "attestation", "etag", "provisioningStatus", "createdDateTimeUtc",
                         "lastUpdatedDateTimeUtc"}, f"members {sorted(made)}")
    expect(made["provisioningStatus"] == "enabled", "enabled by default")
    expect(made["attestation"]["tpm"]["endorsementKey"] == base64.b64encode(EKS[0]).decode(), "the EK as sent")
    expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", made["createdDateTimeUtc"]), "seven digits and Z")
    expect(base64.b64decode(made["etag"]).startswith(b'"'), "the etag is base64 of a quoted text")


def test_everything_sent_is_repeated():
    sent = tpm_enrollment(
        "press-2", EKS[1], deviceId="machine-2", capabilities={"iotEdge": True}, iotHubHostName="hub.cradle.test",
        initialTwin={"tags": {"site": "Ülm", "n": 1.5}, "properties": {"desired": {"a": [1, {"b": None}]}}},
        provisioningStatus="disabled", reprovisionPolicy={"updateHubAssignment": True, "migrateDeviceData": False},
        allocationPolicy="geolatency", iotHubs=["b.cradle.test", "a.cradle.test"],
        customAllocationDefinition={"webhookUrl": "https://example.test/f?code=wEbHoOkKeY1234", "apiVersion": "2021-10-01"},
        optionalDeviceInformation={"colour": "blue"})
    secrets.append("wEbHoOkKeY1234")
    for answer in (ok(op.put("/enrollments/press-2", sent)), ok(op.get("/enrollments/press-2"))):
        for name, value in sent.items():
            want = "geoLatency" if name == "allocationPolicy" else value
            expect(answer[name] == want, f"{name}: {answer.get(name)!r}, not {want!r}")


def test_get_has_the_registration_state():
    row = ok(op.get("/enrollments/press-1"))
    expect(row["registrationState"] == {"registrationId": "press-1", "status": "unassigned"}, f"{row}")
    expect("registrationState" not in ok(op.query("enrollments", "SELECT * WHERE registrationId = 'press-1'"))[0],
           "queries leave it out")
    asked = ok(op.query("enrollments", "SELECT *, registrationState WHERE registrationId = 'press-1'"))[0]
    expect(asked["registrationState"]["status"] == "unassigned", "unless it is asked for")


def test_status_null_is_echoed_as_null():
    made = ok(op.put("/enrollments/null-1", tpm_enrollment("null-1", EKS[2], provisioningStatus=None)))
    expect(made["provisioningStatus"] is None, "null where null was sent")
    expect(ok(op.get("/enrollments/null-1"))["provisioningStatus"] is None, "and later")


def test_nulls_and_unknown_members_are_tolerated():
    made = ok(op.put("/enrollments/null-2", tpm_enrollment(
        "null-2", EKS[3], deviceId=None, initialTwin=None, iotHubs=None, capabilities=None, additional_properties={})))
    expect("deviceId" not in made and "additional_properties" not in made, f"{made}")


def test_device_id_given_is_shown_even_if_it_is_the_id():
    made = ok(op.put("/enrollments/same-1", tpm_enrollment("same-1", EKS[4], deviceId="same-1")))
    expect(made["deviceId"] == "same-1", "shown as it was sent")


def test_put_on_an_existing_id_without_if_match():
    refused(op.put("/enrollments/press-1", tpm_enrollment("press-1", EKS[0])), 409, 409201, "a second PUT")


def test_put_with_every_spelling_of_if_match():
    first = ok(op.get("/enrollments/press-1"))
    for spelled in (first["etag"], None, "*", '"*"'):
        row = ok(op.get("/enrollments/press-1"))
        if spelled is None:
            spelled = f'"{row["etag"]}"'
        changed = ok(op.put("/enrollments/press-1", tpm_enrollment("press-1", EKS[0], deviceId="d"), spelled))
        expect(changed["etag"] != row["etag"], "a new etag")
        expect(changed["createdDateTimeUtc"] == first["createdDateTimeUtc"], "created is kept")
    refused(op.put("/enrollments/press-1", tpm_enrollment("press-1", EKS[0]), first["etag"]), 412, 412000, "an old etag")
    refused(op.put("/enrollments/press-1", tpm_enrollment("press-1", EKS[0]), "nonsense"), 412, 412000, "no etag of ours")


def test_unconditional_put_makes_what_is_not_there():
    ok(op.put("/enrollments/made-1", tpm_enrollment("made-1", EKS[5]), "*"))


def test_delete_with_and_without_if_match():
    row = ok(op.put("/enrollments/gone-1", tpm_enrollment("gone-1", EKS[6])))
    refused(op.delete("/enrollments/gone-1", "IjAi"), 412, 412000, "a wrong etag")
    answer = op.delete("/enrollments/gone-1", row["etag"])
    expect(answer.status == 204 and answer.raw == b"" and "Content-Length" not in answer.headers, f"bare 204: {answer}")
    refused(op.get("/enrollments/gone-1"), 404, 404201, "what was deleted")
    refused(op.delete("/enrollments/gone-1"), 404, 404201, "deleting it again")
    again = ok(op.put("/enrollments/gone-1", tpm_enrollment("gone-1", EKS[6])))
    refused(op.put("/enrollments/gone-1", tpm_enrollment("gone-1", EKS[6]), row["etag"]), 412, 412000,
            "an etag of before the deletion")
    expect(again["etag"] != row["etag"], "never the same etag again")
    ok(op.delete("/enrollments/gone-1"), 204)


def test_the_same_endorsement_key_twice():
    answer = op.put("/enrollments/press-1b", tpm_enrollment("press-1b", EKS[0]))
    refused(answer, 409, 409201, "an EK of another enrollment")
    expect("endorsement key" in answer.json["message"], f"the message says so: {answer}")


def test_paths_in_any_case_and_with_a_slash():
    ok(op.call("GET", "/Enrollments/PRESS-1/"))
    ok(op.call("POST", "/ENROLLMENTS/Query/", {"query": "*"}))
    ok(op.call("POST", "/enrollmentgroups/query", {"query": "*"}))


def test_every_api_version_in_use():
    for version in ("2018-04-01", "2018-09-01-preview", "2018-11-01", "2019-03-31", "2021-06-01", "2021-10-01"):
        ok(op.call("GET", "/enrollments/press-1", version=version))
    refused(op.call("GET", "/enrollments/press-1", version="1999-01-01"), 400, 400000, "an unknown api-version")
    refused(op.call("GET", "/enrollments/press-1", version=None), 400, 400000, "no api-version")


# ---- keys -----------------------------------------------------------------------------------------
def test_symmetric_keys_are_shown_once():
    made = ok(op.put("/enrollments/key-1", key_enrollment("key-1")))
    keys = made["attestation"]["symmetricKey"]
    secrets.extend(keys.values())
    expect(all(len(base64.b64decode(k)) == 64 for k in keys.values()), "generated, 64 bytes")
    expect(keys["primaryKey"] != keys["secondaryKey"], "two of them")
    expect(ok(op.get("/enrollments/key-1"))["attestation"] == {"type": "symmetricKey"}, "GET hides them")
    expect(ok(op.query("enrollments", "SELECT * WHERE registrationId='key-1'"))[0]["attestation"] ==
           {"type": "symmetricKey"}, "a query too")
    shown = ok(op.call("POST", "/enrollments/key-1/attestationmechanism"))
    expect(shown == {"type": "symmetricKey", "symmetricKey": keys}, f"{shown}")


def test_an_update_that_names_no_keys_keeps_them():
    row = ok(op.get("/enrollments/key-1"))
    row["deviceId"] = "renamed"
    ok(op.put("/enrollments/key-1", row, row["etag"]))
    shown = ok(op.call("POST", "/enrollments/key-1/attestationmechanism"))["symmetricKey"]
    expect(list(shown.values()) == secrets[-2:], "the same keys")


def test_keys_of_ones_own():
    mine, short, long = (base64.b64encode(bytes(n)).decode() for n in (16, 15, 65))
    made = ok(op.put("/enrollments/key-2", key_enrollment("key-2", mine, mine)))
    expect(made["attestation"]["symmetricKey"] == {"primaryKey": mine, "secondaryKey": mine}, "as sent")
    for bad in (short, long, "no base64", 7):
        answer = op.put("/enrollments/key-3", key_enrollment("key-3", bad, mine))
        refused(answer, 400, 400004, f"a key of the wrong shape: {bad}")
        expect("primaryKey" in answer.json["message"], f"the message names it: {answer}")
    refused(op.get("/enrollments/key-3"), 404, 404201, "nothing was made")


# ---- certificates ---------------------------------------------------------------------------------
def leaf(registration_id, text):
    return {"registrationId": registration_id, "attestation": {
        "type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": text}}}}}


def test_certificates_are_never_echoed():
    text = pem("leaf")
    der = base64.b64encode(base64.b64decode("".join(text.splitlines()[1:-1]))).decode()
    for form in (text, base64.b64encode(text.encode()).decode(), der):
        made = ok(op.put("/enrollments/leaf-1", leaf("leaf-1", form), "*"))
        expect("certificate\"" not in str(made).replace("'", '"').replace('clientCertificates"', ""), f"{made}")
    info = made["attestation"]["x509"]["clientCertificates"]["primary"]["info"]
    expect(set(info) == {"subjectName", "sha1Thumbprint", "sha256Thumbprint", "issuerName", "notBeforeUtc",
                         "notAfterUtc", "serialNumber", "version"}, f"{sorted(info)}")
    expect(info["subjectName"] == "CN=leaf-1, O=Maker" and info["version"] == 3, f"{info}")
    expect(re.fullmatch("[0-9A-F]{64}", info["sha256Thumbprint"]), "upper-case hex")
    expect(ok(op.get("/enrollments/leaf-1"))["attestation"] == made["attestation"], "GET shows the same")


def test_a_certificate_not_repeated_stays():
    row = ok(op.get("/enrollments/leaf-1"))
    row["deviceId"] = "leafy"
    changed = ok(op.put("/enrollments/leaf-1", row, row["etag"]))
    expect(changed["attestation"] == row["attestation"], "the same certificate")


def test_bad_certificates():
    for bad in ("", "no certificate", pem("leaf")[:200], pem("leaf") + pem("signing"), None, 5):
        answer = op.put("/enrollments/leaf-2", leaf("leaf-2", bad))
        refused(answer, 400, 400004, f"{bad!r}")
        expect("clientCertificates.primary" in answer.json["message"], f"the message names it: {answer}")
    both = leaf("leaf-2", pem("leaf"))
    both["attestation"]["x509"]["signingCertificates"] = both["attestation"]["x509"]["clientCertificates"]
    refused(op.put("/enrollments/leaf-2", both), 400, 400004, "two kinds at once")


# ---- groups ---------------------------------------------------------------------------------------
def test_groups():
    body = {"enrollmentGroupId": "Line-7", "attestation": {"type": "symmetricKey"},
            "capabilities": {"iotEdge": False}, "provisioningStatus": "enabled"}
    made = ok(op.put("/enrollmentGroups/line-7", body))
    expect(made["enrollmentGroupId"] == "line-7" and "deviceId" not in made, f"{made}")
    secrets.extend(made["attestation"]["symmetricKey"].values())
    refused(op.put("/enrollmentGroups/line-7", body), 409, 409202, "a second PUT")
    expect("registrationState" not in ok(op.get("/enrollmentGroups/line-7")), "no state of a group")
    shown = ok(op.call("POST", "/enrollmentgroups/line-7/attestationmechanism"))
    expect(shown["symmetricKey"] == made["attestation"]["symmetricKey"], "the keys on demand")
    ca = {"enrollmentGroupId": "ca-1", "attestation": {"type": "x509", "x509": {
        "signingCertificates": {"primary": {"certificate": pem("signing")}}}}}
    made = ok(op.put("/enrollmentGroups/ca-1", ca))
    expect(made["attestation"]["x509"]["signingCertificates"]["primary"]["info"]["subjectName"] == "CN=Line CA", "info")
    named = {"enrollmentGroupId": "ca-2", "attestation": {"type": "x509", "x509": {"caReferences": {"primary": "root-1"}}}}
    expect(ok(op.put("/enrollmentGroups/ca-2", named))["attestation"]["x509"]["caReferences"] == {"primary": "root-1"},
           "references")
    expect([g["enrollmentGroupId"] for g in op.all("enrollmentGroups")] == ["line-7", "ca-1", "ca-2"], "all groups")
    refused(op.put("/enrollmentGroups/tpm-1", {"enrollmentGroupId": "tpm-1", "attestation": tpm_enrollment(
        "x", EKS[7])["attestation"]}), 400, 400004, "a group of one TPM")
    refused(op.put("/enrollmentGroups/leaf-1", {"attestation": leaf("x", pem("leaf"))["attestation"]}), 400, 400004,
            "a group of one leaf")
    ok(op.delete("/enrollmentGroups/ca-2"), 204)
    refused(op.get("/enrollmentGroups/ca-2"), 404, 404201, "gone")


# ---- bad bodies -----------------------------------------------------------------------------------
def test_bad_bodies_name_the_member_and_change_nothing():
    whole = tpm_enrollment("bad-1", EKS[8])
    for change, names in (
            ({"attestation": None}, "attestation.type"), ({"attestation": {"type": "none"}}, "attestation.type"),
            ({"attestation": {"type": "tpm"}}, "attestation.tpm"),
            ({"attestation": {"type": "tpm", "tpm": {}}}, "attestation.tpm.endorsementKey"),
            ({"attestation": {"type": "tpm", "tpm": {"endorsementKey": "AAA="}}}, "attestation.tpm.endorsementKey"),
            ({"attestation": {"type": "tpm", "tpm": {"endorsementKey": base64.b64encode(EKS[8]).decode(),
                                                     "storageRootKey": "AAA="}}}, "attestation.tpm.storageRootKey"),
            ({"deviceId": "a b"}, "deviceId"), ({"provisioningStatus": "on"}, "provisioningStatus"),
            ({"capabilities": 1}, "capabilities"), ({"iotHubs": "a"}, "iotHubs"), ({"iotHubs": ["a,b"]}, "iotHubs"),
            ({"allocationPolicy": "dice"}, "allocationPolicy"), ({"initialTwin": []}, "initialTwin"),
            ({"initialTwin": {"tags": {"a": "x" * 9000}}}, "initialTwin"),
            ({"reprovisionPolicy": {"updateHubAssignment": "yes"}}, "reprovisionPolicy"),
            ({"customAllocationDefinition": {"apiVersion": "1"}}, "customAllocationDefinition.webhookUrl"),
            ({"registrationId": "other"}, "registrationId")):
        answer = op.put("/enrollments/bad-1", {**whole, **change})
        refused(answer, 413 if "x" * 9 in str(change) else 400, 413000 if "x" * 9 in str(change) else 400004, f"{change}")
        expect(names in answer.json["message"], f"{change}: the message names it: {answer}")
    for body in (b"", b"{", b"[]", b"7", b'{"a":1,"a":2}', b"\xff", b'{"registrationId":"bad-1"}x'):
        refused(op.put("/enrollments/bad-1", body), 400, 400000, f"{body}")
    answer = op.call("PUT", "/enrollments/bad-1", whole, {"Content-Type": "text/plain"})
    refused(answer, 415, 415000, "another content type")
    refused(op.call("PUT", "/enrollments/a%20b", whole), 400, 400004, "an id with a space")
    refused(op.get("/enrollments/bad-1"), 404, 404201, "nothing was made")


def test_methods_and_paths():
    refused(op.call("POST", "/enrollments/press-1", {}), 405, 405000, "POST on an enrollment")
    refused(op.call("PATCH", "/enrollments/press-1", {}), 405, 405000, "PATCH")
    refused(op.call("GET", "/enrollments"), 405, 405000, "GET on the collection")
    refused(op.call("GET", "/enrollments/a/b/c"), 404, 404000, "a path too long")
    refused(op.call("GET", "/enrollments//press-1"), 404, 404000, "an empty segment")


# ---- bulk -------------------------------------------------------------------------------------------
def bulk(mode, rows, kind="enrollments"):
    return op.call("POST", f"/{kind}/", {"mode": mode, kind: rows})


def test_bulk():
    rows = [tpm_enrollment(f"bulk-{i}", EKS[10 + i]) for i in range(10)]
    expect(ok(bulk("create", rows)) == {"isSuccessful": True, "errors": []}, "ten at once")
    answer = ok(bulk("create", rows[:2]))
    expect(answer["isSuccessful"] is False and len(answer["errors"]) == 2, f"{answer}")
    expect(answer["errors"][0] == {"registrationId": "bulk-0", "errorCode": 409201,
                                   "errorStatus": "Enrollment already exists."}, f"{answer}")
    expect(ok(bulk("update", rows[:1]))["errors"][0]["errorCode"] == 409201, "update without etag, as Azure has it")
    current = ok(op.get("/enrollments/bulk-0"))["etag"]
    for spelled in ("updateIfMatchETag", "updateIfMatchEtag"):
        row = {**rows[0], "deviceId": spelled.lower(), "etag": current}
        expect(ok(bulk(spelled, [row]))["isSuccessful"], spelled)
        expect(ok(bulk(spelled, [row]))["errors"][0]["errorCode"] == 412000, "the old etag")
        current = ok(op.get("/enrollments/bulk-0"))["etag"]
    expect(ok(bulk("updateIfMatchETag", [rows[0]]))["errors"][0]["errorCode"] == 400004, "no etag")
    refused(bulk("create", rows + [tpm_enrollment("bulk-10", EKS[20])]), 400, 400004, "eleven")
    refused(bulk("destroy", rows), 400, 400004, "an unknown mode")
    refused(op.call("POST", "/enrollments", {"mode": "create"}), 400, 400004, "no list")
    expect(ok(bulk("create", []))["isSuccessful"], "an empty list")


def test_bulk_with_bad_rows():
    rows = [tpm_enrollment("mixed-1", EKS[21]), {"registrationId": "mixed-2"}, 7, tpm_enrollment("b d", EKS[22]),
            tpm_enrollment("mixed-1", EKS[23]), tpm_enrollment("mixed-3", EKS[24])]
    answer = ok(bulk("create", rows))
    expect([(e["registrationId"], e["errorCode"]) for e in answer["errors"]] ==
           [("mixed-2", 400004), ("", 400004), ("b d", 400004), ("mixed-1", 409201)], f"{answer}")
    ok(op.get("/enrollments/mixed-1")), ok(op.get("/enrollments/mixed-3"))
    gone = ok(bulk("delete", [{"registrationId": "mixed-1"}, {"registrationId": "mixed-9"}]))
    expect([e["registrationId"] for e in gone["errors"]] == ["mixed-9"], f"{gone}")
    refused(op.get("/enrollments/mixed-1"), 404, 404201, "deleted in bulk")


def test_bulk_of_groups():
    rows = [{"enrollmentGroupId": f"g-{i}", "attestation": {"type": "symmetricKey"}} for i in range(3)]
    expect(ok(bulk("create", rows, "enrollmentGroups"))["isSuccessful"], "three groups")
    errors = ok(bulk("create", rows[:1], "enrollmentGroups"))["errors"]
    expect(errors == [{"enrollmentGroupId": "g-0", "errorCode": 409202,
                       "errorStatus": "Enrollment group already exists."}], f"{errors}")


# ---- queries ------------------------------------------------------------------------------------------
def ids(text, **more):
    return [row["registrationId"] for row in op.all("enrollments", text, **more)]


def test_queries_name_their_items_and_end_without_a_token():
    page = op.query("enrollments", size=3)
    expect(len(page.json) == 3 and page.headers["x-ms-item-type"] == "Enrollment", f"{page.headers}")
    expect(page.headers["x-ms-continuation"], "more")
    last = op.query("enrollments", "SELECT * WHERE registrationId = 'press-1'")
    expect("x-ms-continuation" not in last.headers, "absent on the last page")
    expect(op.query("enrollmentGroups").headers["x-ms-item-type"] == "EnrollmentGroup", "groups")
    none = op.call("POST", "/registrations/line-7/query")
    expect(ok(none) == [] and none.headers["x-ms-item-type"] == "DeviceRegistration", "registrations, without a body")
    ok(op.call("POST", "/registrations/line-7/query", {"query": "*"}))
    for bad in ("0", "-1", "x", "1e3"):
        refused(op.query("enrollments", size=bad), 400, 400004, f"a page of {bad}")
    for bad in ("x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", "//////////8="):
        refused(op.query("enrollments", continuation=bad), 400, 400004, f"a token of somebody else: {bad}")


def test_every_spelling_of_everything():
    every = ids("SELECT *")
    expect(len(every) == len(set(every)) >= 15, f"{every}")
    for text in ("select *", "SELECT * FROM enrollments", "*", "", "  SELECT\n*  "):
        expect(ids(text, size=4) == every, f"{text!r}")


def test_where_really_filters():
    for text, want in (
            ("registrationId = 'PRESS-1'", ["press-1"]), ("registrationId = 'nobody'", []),
            ("registrationId LIKE 'press-%'", ["press-1", "press-2"]),
            ("deviceId = 'machine-2'", ["press-2"]), ("provisioningStatus = 'disabled'", ["press-2"]),
            ("attestation.type = 'x509'", ["leaf-1"]), ("attestation.type = 'symmetrickey'", ["key-1", "key-2"]),
            ("registrationId LIKE 'press-%' AND NOT provisioningStatus = \"disabled\"", ["press-1"]),
            ("(registrationId = 'press-1' OR registrationId = 'press-2') AND provisioningStatus != 'enabled'", ["press-2"]),
            ("registrationId = 'press-1' OR registrationId = 'leaf-1' AND provisioningStatus = 'disabled'", ["press-1"]),
            ("registrationId > 'press-' AND registrationId <= 'press-2'", ["press-1", "press-2"]),
            ("createdDateTimeUtc < '2000-01-01'", []), ("registrationId='press-1' AND registrationId='press-2'", [])):
        expect(sorted(ids(f"SELECT * FROM enrollments WHERE {text}")) == want, f"{text}: {ids('SELECT * WHERE ' + text)}")
    expect(len(ids("SELECT * WHERE lastUpdatedDateTimeUtc >= '2020-01-01'")) == len(ids("*")), "times")


def test_what_cannot_be_parsed_is_said():
    for text, says in (("SELECT", "*"), ("SELECT * WHERE", "registrationId"), ("SELECT * WHERE colour = 'red'", "colour"),
                       ("SELECT * WHERE registrationId = 'x", "quoted"), ("DELETE *", "DELETE"),
                       ("SELECT * WHERE registrationId LIKE '%x'", "LIKE"), ("SELECT * LIMIT 3", "LIMIT"),
                       ("SELECT * WHERE registrationId = 'a' registrationId", "character"),
                       ("SELECT * WHERE " + "(" * 40 + "registrationId = 'a'" + ")" * 40, "deeply"),
                       ("SELECT * WHERE " + " OR ".join(["registrationId = 'a'"] * 80), "conditions")):
        answer = op.query("enrollments", text)
        refused(answer, 400, 400004, text)
        expect(says in answer.json["message"], f"{text}: {answer}")
    refused(op.call("POST", "/enrollments/query", {}), 400, 400004, "no query")


# ---- who may --------------------------------------------------------------------------------------------
OPERATIONS = [("GET", "/enrollments/press-1", "r"), ("PUT", "/enrollments/auth-1", "w"), ("DELETE", "/enrollments/auth-1", "w"),
              ("POST", "/enrollments", "w"), ("POST", "/enrollments/query", "r"),
              ("POST", "/enrollments/press-1/attestationmechanism", "w"),
              ("GET", "/enrollmentGroups/line-7", "r"), ("PUT", "/enrollmentGroups/auth-1", "w"),
              ("DELETE", "/enrollmentGroups/auth-1", "w"), ("POST", "/enrollmentGroups", "w"),
              ("POST", "/enrollmentGroups/query", "r"), ("POST", "/enrollmentGroups/line-7/attestationmechanism", "w"),
              ("GET", "/registrations/press-1", "s"), ("DELETE", "/registrations/press-1", "S"),
              ("POST", "/registrations/line-7/query", "s")]
POLICIES = {"provisioningserviceowner": "rwsS", "enrollmentread": "r", "enrollmentwrite": "rw", "registrationread": "s",
            "registrationwrite": "sS"}


def test_every_operation_with_every_right():
    for policy, rights in POLICIES.items():
        for which in ("", "#secondary"):
            caller = Operator(policy, derived_key(policy, which), op.client)
            for method, path, right in OPERATIONS:
                answer = caller.call(method, path, {} if method in ("PUT", "POST") else None)
                if right in rights:
                    expect(answer.status != 401, f"{policy}{which} may {method} {path}: {answer}")
                else:
                    refused(answer, 401, 401002, f"{policy}{which} may not {method} {path}")


def test_every_operation_without_a_good_token():
    now = int(time.time())
    stranger = Operator(op.policy, bytes(32), op.client)
    tokens = {
        "no token": " ", "another key": stranger.token(), "expired": op.token(expiry=now - 400),
        "another host": op.token(sr="elsewhere.cradle.test"), "a part of the host": op.token(sr=SERVICE[:-1]),
        "another path": op.token(sr=SERVICE + "/attestations"), "half a segment": op.token(sr=SERVICE + "/enroll"),
        "an unknown policy": Operator("nobody", None, op.client).token(), "bearer": "Bearer abc",
        "another policy's key": Operator("provisioningserviceowner", derived_key("enrollmentread"), op.client).token(),
        "signature over the decoded": op.token(sr=SERVICE).replace("sr=" + SERVICE, "sr=" + SERVICE.upper()),
    }
    for name, token in tokens.items():
        for method, path, _ in OPERATIONS:
            answer = op.call(method, path, {} if method in ("PUT", "POST") else None, token=token)
            refused(answer, 401, 401002, f"{method} {path} with {name}")


def test_every_client_s_spelling_of_a_token():
    quoted = urllib.parse.quote(SERVICE.upper(), safe="")
    for token in (op.token(), op.token(order=("sr", "sig", "se", "skn")), op.token(sr=quoted),
                  op.token(sr=SERVICE + "/enrollments"), op.token(sr=urllib.parse.quote(SERVICE + "/Enrollments/", safe="")),
                  op.token(sr=SERVICE + "/enrollments/press-1"), op.token(expiry=int(time.time()) + 10 ** 8)):
        ok(op.call("GET", "/enrollments/press-1", token=token))
    refused(op.call("GET", "/enrollmentGroups/line-7", token=op.token(sr=SERVICE + "/enrollments")), 401, 401002,
            "a token for another collection")


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        case(name[5:].replace("_", " "))
with open(LAB + "/secrets.txt", "w") as f:
    f.write("\n".join(secrets))
