// models.mjs - a few object models for the mock, in the shape of GET /models.

const R = (id, name, op, type, units = '', range = '', multiple = false, mandatory = false) => ({
  id,
  name,
  op,
  multiple,
  mandatory,
  type: type.toLowerCase() || 'none',
  range,
  units,
});

const sensor = () => [
  R(5700, 'Sensor Value', 'R', 'Float', '', '', false, true), // its unit is in 5701
  R(5601, 'Min Measured Value', 'R', 'Float'),
  R(5602, 'Max Measured Value', 'R', 'Float'),
  R(5605, 'Reset Min and Max Measured Values', 'E', ''),
  R(5701, 'Sensor Units', 'R', 'String'),
  R(5750, 'Application Type', 'RW', 'String'),
];

const object = (id, name, version, multiple, resources) => ({
  id,
  name,
  version,
  urn: `urn:oma:lwm2m:oma:${id}:${version}`,
  multiple,
  mandatory: id < 4,
  resources,
});

export const models = [
  object(1, 'LwM2M Server', '1.2', true, [
    R(0, 'Short Server ID', 'R', 'Integer', '', '1..65534', false, true),
    R(1, 'Lifetime', 'RW', 'Integer', 's', '', false, true),
    R(2, 'Default Minimum Period', 'RW', 'Integer', 's'),
    R(3, 'Default Maximum Period', 'RW', 'Integer', 's'),
    R(6, 'Notification Storing When Disabled or Offline', 'RW', 'Boolean', '', '', false, true),
    R(7, 'Binding', 'RW', 'String', '', '', false, true),
    R(8, 'Registration Update Trigger', 'E', '', '', '', false, true),
  ]),
  object(3, 'Device', '1.2', false, [
    R(0, 'Manufacturer', 'R', 'String'),
    R(1, 'Model Number', 'R', 'String'),
    R(2, 'Serial Number', 'R', 'String'),
    R(3, 'Firmware Version', 'R', 'String'),
    R(4, 'Reboot', 'E', '', '', '', false, true),
    R(5, 'Factory Reset', 'E', ''),
    R(6, 'Available Power Sources', 'R', 'Integer', '', '0..7', true),
    R(9, 'Battery Level', 'R', 'Integer', '/100', '0..100'),
    R(10, 'Memory Free', 'R', 'Integer', 'KB'),
    R(11, 'Error Code', 'R', 'Integer', '', '0..32', true, true),
    R(12, 'Reset Error Code', 'E', ''),
    R(13, 'Current Time', 'RW', 'Time'),
    R(14, 'UTC Offset', 'RW', 'String'),
    R(15, 'Timezone', 'RW', 'String'),
    R(16, 'Supported Binding and Modes', 'R', 'String', '', '', false, true),
  ]),
  object(4, 'Connectivity Monitoring', '1.3', false, [
    R(0, 'Network Bearer', 'R', 'Integer', '', '0..50', false, true),
    R(2, 'Radio Signal Strength', 'R', 'Integer', 'dBm', '', false, true),
    R(3, 'Link Quality', 'R', 'Integer'),
    R(4, 'IP Addresses', 'R', 'String', '', '', true, true),
  ]),
  object(5, 'Firmware Update', '1.1', false, [
    R(0, 'Package', 'W', 'Opaque', '', '', false, true),
    R(1, 'Package URI', 'RW', 'String', '', '0..255', false, true),
    R(2, 'Update', 'E', '', '', '', false, true),
    R(3, 'State', 'R', 'Integer', '', '0..3', false, true),
    R(5, 'Update Result', 'R', 'Integer', '', '0..11', false, true),
  ]),
  object(3303, 'Temperature', '1.1', true, sensor()),
  object(3304, 'Humidity', '1.1', true, sensor()),
  object(3311, 'Light Control', '1.0', true, [
    R(5850, 'On/Off', 'RW', 'Boolean', '', '', false, true),
    R(5851, 'Dimmer', 'RW', 'Integer', '/100', '0..100'),
    R(5706, 'Colour', 'RW', 'String'),
  ]),
];
