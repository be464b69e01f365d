'use strict';
// A device with a symmetric key, as Microsoft's documentation has it be written, its SDK unmodified:
// registers over HTTPS, then speaks to its hub over MQTT. One JSON object a step on standard output.
//
//   keyed.js SERVICE SCOPE REGISTRATION-ID KEY PAYLOAD
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Http } = require('azure-iot-provisioning-device-http');
const { Client, Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

const [service, scope, registrationId, key, payload] = process.argv.slice(2);
const step = (name, facts) => console.log(JSON.stringify({ step: name, ...facts }));

async function boot() {
  const security = new SymmetricKeySecurityClient(registrationId, key);
  const provisioning = ProvisioningDeviceClient.create(service, scope, new Http(), security);
  const state = await new Promise((resolve, reject) =>
    provisioning.register((err, result) => (err ? reject(err) : resolve(result))));
  step('registered', { hub: state.assignedHub, deviceId: state.deviceId, substatus: state.substatus });
  const connection = `HostName=${state.assignedHub};DeviceId=${state.deviceId};SharedAccessKey=${key}`;
  const client = Client.fromConnectionString(connection, Mqtt);
  await client.open();
  await client.sendEvent(new Message(payload));
  step('sent');
  await client.close();
}

boot().then(() => process.exit(0), (err) => {
  step('failed', { name: err.name, message: err.message, body: err.responseBody });
  process.exit(1);
});
