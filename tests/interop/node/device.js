'use strict';
// A device as Microsoft's documentation has it be written, with its SDK unmodified; the TPM is behind
// the simulator's protocol on 127.0.0.1:2321. One JSON object a step on standard output, with the
// milliseconds since the process began. REGISTRATION_ID, if set, replaces the id derived from the EK.
//
//   device.js id                               the registration id and endorsement key it will present
//   device.js boot SERVICE SCOPE PAYLOAD [wait]  register, connect to the hub, send PAYLOAD; with
//                                              "wait": until a message to the device arrives
const { Tpm } = require('tss.js');
const { TpmSecurityClient, TpmAuthenticationProvider } = require('azure-iot-security-tpm');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Http } = require('azure-iot-provisioning-device-http');
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

const [what, service, scope, payload, wait] = process.argv.slice(2);
const useSimulator = true;
const security = new TpmSecurityClient(process.env.REGISTRATION_ID, new Tpm(useSimulator));

function step(name, facts) {
  console.log(JSON.stringify({ step: name, ms: Math.round(process.uptime() * 1000), ...facts }));
}

function called(object, method, ...args) {
  return new Promise((resolve, reject) =>
    object[method](...args, (err, result) => (err ? reject(err) : resolve(result))));
}

async function tell() {
  const registrationId = await called(security, 'getRegistrationId');
  const endorsementKey = await called(security, 'getEndorsementKey');
  const storageRootKey = await called(security, 'getStorageRootKey');
  step('id', {
    registrationId, endorsementKey: endorsementKey.toString('base64'), storageRootKey: storageRootKey.toString('base64'),
  });
}

async function boot() {
  const result = await called(ProvisioningDeviceClient.create(service, scope, new Http(), security), 'register');
  const { assignedHub, deviceId } = result.registrationState;
  step('registered', { hub: assignedHub, deviceId });
  const provider = TpmAuthenticationProvider.fromTpmSecurityClient(deviceId, assignedHub, security);
  const client = Client.fromAuthenticationProvider(provider, Mqtt);
  await client.open();
  step('connected');
  const message = wait && new Promise((resolve) => client.on('message', resolve));
  await client.sendEvent(new Message(payload));
  step('sent');
  if (message) {
    const received = await message;
    step('received', { text: received.data.toString() });
    await client.complete(received);
  }
  await client.close();
}

(what === 'id' ? tell() : boot()).then(() => process.exit(0), (err) => {
  step('failed', { name: err.name, message: err.message, body: err.responseBody });
  process.exit(1);
});
