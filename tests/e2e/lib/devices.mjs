// devices.mjs - devices played by hand: one on the json dialect of LwM2M, and Sparkplug's payloads.

import sparkplugPayload from 'sparkplug-payload';
import { until } from './time.mjs';

// jsonDevice: a device of few words. It answers each command with answers[op], a value or a function of
// (command, token), and keeps what it was asked in `asked`. say(word, body) publishes; ack(word) is the
// newest answer to that.
export async function jsonDevice(stack, name, answers = {}) {
  const client = await stack.device(name);
  const asked = [];
  client.on('message', (topic, payload) => {
    const [, , word, token] = topic.split('/');
    if (word !== 'cmd') return;
    const command = JSON.parse(payload.toString());
    asked.push(command);
    const answer = answers[command.op];
    const said = typeof answer === 'function' ? answer(command, token) : answer;
    if (said) client.publish(`lwm2m/${name}/resp/${token}`, JSON.stringify(said), { qos: 1 });
  });
  await client.subscribeAsync([`lwm2m/${name}/cmd/#`, `lwm2m/${name}/ack/#`], { qos: 1 });
  const say = (word, body) => client.publishAsync(`lwm2m/${name}/${word}`, JSON.stringify(body), { qos: 1 });
  const ack = (word) =>
    until(() => client.seen.findLast((m) => m.topic === `lwm2m/${name}/ack/${word}`), 5000, `ack/${word}`)
      .then((m) => JSON.parse(m.payload.toString()));
  return { client, asked, say, ack };
}

export const sparkplug = sparkplugPayload.get('spBv1.0');

// spbPayload: the bytes of a payload of now.
export const spbPayload = (metrics, more = {}) =>
  Buffer.from(sparkplug.encodePayload({ timestamp: Date.now(), metrics, ...more }));
