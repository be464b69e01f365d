'use strict';
// An operator's program over Microsoft's service SDK, unmodified: every operation it has, one after
// the other, each answer held to what the SDK's users rely on.
//
//   service.js CONNECTION-STRING EK EK EK CERTIFICATE-FILE     keys as base64 of TPM2B_PUBLIC
const assert = require('assert');
const fs = require('fs');
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');

const [connection, ek, otherEk, thirdEk, certificateFile] = process.argv.slice(2);
const client = ProvisioningServiceClient.fromConnectionString(connection);
const certificate = fs.readFileSync(certificateFile, 'utf8');

const tpm = (registrationId, endorsementKey, more) =>
  ({ registrationId, attestation: { type: 'tpm', tpm: { endorsementKey } }, ...more });
const body = async (promise) => (await promise).responseBody;
const fails = (promise, name) => promise.then(
  () => assert.fail(`no ${name}`),
  (err) => assert.ok([err.name, err.message].includes(name), `${err.name}: ${err.message}, not ${name}`));

// Bulk operations and pages of queries answer to callbacks alone.
const bulk = (operation) => new Promise((resolve, reject) =>
  client.runBulkEnrollmentOperation(operation, (err, result) => (err ? reject(err) : resolve(result))));
const page = (query) => new Promise((resolve, reject) =>
  query.next((err, rows) => (err ? reject(err) : resolve(rows))));
async function pages(query) {
  const all = [];
  do all.push(...(await page(query))); while (query.hasMoreResults);
  return all;
}

const stories = {
  async 'an individual enrollment is made, read, changed and deleted'() {
    const made = await body(client.createOrUpdateIndividualEnrollment(tpm('Press:1', ek, { deviceId: 'machine' })));
    assert.strictEqual(made.registrationId, 'press:1');
    assert.strictEqual(made.deviceId, 'machine');
    assert.strictEqual(made.provisioningStatus, 'enabled');
    const read = await body(client.getIndividualEnrollment('press:1'));
    assert.strictEqual(read.etag, made.etag);
    assert.strictEqual(read.registrationState.status, 'unassigned');
    const changed = await body(client.createOrUpdateIndividualEnrollment({ ...made, provisioningStatus: 'disabled' }));
    assert.strictEqual(changed.provisioningStatus, 'disabled');
    await fails(client.createOrUpdateIndividualEnrollment(made), 'InvalidEtagError');
    await fails(client.createOrUpdateIndividualEnrollment(tpm('press:1', ek)), 'DeviceAlreadyExistsError');
    await fails(client.deleteIndividualEnrollment('press:1', made.etag), 'InvalidEtagError');
    await client.deleteIndividualEnrollment(changed);
    await fails(client.getIndividualEnrollment('press:1'), 'Not found');
  },
  async 'its attestation mechanism tells the keys that GET hides'() {
    const made = await body(client.createOrUpdateIndividualEnrollment(
      { registrationId: 'keyed', attestation: { type: 'symmetricKey' } }));
    const shown = await body(client.getIndividualEnrollmentAttestationMechanism('keyed'));
    assert.deepStrictEqual(shown, made.attestation);
    assert.deepStrictEqual((await body(client.getIndividualEnrollment('keyed'))).attestation, { type: 'symmetricKey' });
    await client.deleteIndividualEnrollment('keyed', '*');
  },
  async 'an enrollment group is made, read, changed and deleted'() {
    const made = await body(client.createOrUpdateEnrollmentGroup({
      enrollmentGroupId: 'line-7', attestation: { type: 'x509', x509: { signingCertificates: { primary: { certificate } } } },
    }));
    assert.ok(made.attestation.x509.signingCertificates.primary.info.sha256Thumbprint);
    const changed = await body(client.createOrUpdateEnrollmentGroup({ ...made, provisioningStatus: 'disabled' }));
    assert.deepStrictEqual(changed.attestation, made.attestation);
    assert.strictEqual((await body(client.getEnrollmentGroup('line-7'))).provisioningStatus, 'disabled');
    await client.createOrUpdateEnrollmentGroup({ enrollmentGroupId: 'keyed', attestation: { type: 'symmetricKey' } });
    assert.ok((await body(client.getEnrollmentGroupAttestationMechanism('keyed'))).symmetricKey.primaryKey);
    assert.strictEqual((await pages(client.createEnrollmentGroupQuery({ query: '*' }, 1))).length, 2);
    await client.deleteEnrollmentGroup(changed);
    await client.deleteEnrollmentGroup('keyed');
    await fails(client.getEnrollmentGroup('line-7'), 'Not found');
  },
  async 'many at once, with what was wrong named'() {
    const enrollments = [tpm('bulk-1', ek), tpm('bulk-2', otherEk), tpm('bulk-3', thirdEk)];
    assert.deepStrictEqual(await bulk({ mode: 'create', enrollments }), { isSuccessful: true, errors: [] });
    const again = await bulk({ mode: 'create', enrollments: enrollments.slice(0, 1) });
    assert.strictEqual(again.isSuccessful, false);
    assert.strictEqual(again.errors[0].registrationId, 'bulk-1');
    assert.strictEqual(again.errors[0].errorCode, 409201);
  },
  async 'queries page through all, and filter'() {
    const query = client.createIndividualEnrollmentQuery({ query: 'SELECT * FROM enrollments' }, 2);
    assert.deepStrictEqual((await pages(query)).map((row) => row.registrationId), ['bulk-1', 'bulk-2', 'bulk-3']);
    const one = client.createIndividualEnrollmentQuery({ query: "SELECT * WHERE registrationId = 'bulk-2'" });
    assert.deepStrictEqual((await pages(one)).map((row) => row.registrationId), ['bulk-2']);
    await bulk({ mode: 'delete', enrollments: [1, 2, 3].map((n) => ({ registrationId: `bulk-${n}` })) });
    assert.deepStrictEqual(await pages(client.createIndividualEnrollmentQuery({ query: '*' })), []);
  },
  async 'registrations'() {
    await fails(client.getDeviceRegistrationState('nobody'), 'Not found');
    await fails(client.deleteDeviceRegistrationState('nobody'), 'Not found');
    assert.deepStrictEqual(await pages(client.createEnrollmentGroupDeviceRegistrationStateQuery({ query: '*' }, 'line-7')), []);
  },
  async 'another key is told to go'() {
    const wrong = connection.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`);
    await fails(ProvisioningServiceClient.fromConnectionString(wrong).getIndividualEnrollment('press-1'), 'UnauthorizedError');
  },
};

(async () => {
  for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log(`ok  ${name}`);
  }
})().then(() => process.exit(0), (err) => {
  console.log(`FAILED: ${err.stack} ${err.responseBody || ''}`);
  process.exit(1);
});
