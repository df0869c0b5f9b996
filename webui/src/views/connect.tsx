// connect.tsx - how to connect a device to this very server; also what an empty fleet shows.

import { useEffect } from 'preact/hooks';
import { connect_info, connect_open } from '../store/admin';
import { may_engineer } from '../store/session';
import type { Connect } from '../types';
import { CodeLine, Fact, Quiet } from '../ui/bits';
import { AddDevice } from './credentials';

const FIRST = 'device-temp-001';

/** The registration a person can paste into a terminal, if the server gives none of its own. */
export function registration_line(c: Connect): string {
  const body = JSON.stringify({
    endpoint: FIRST,
    lifetime: 3600,
    version: '1.2',
    bindingMode: 'UQ',
    objects: { 3: { 0: { 0: 'IoT Testing Corp', 1: 'SimDevice-temperature_sensor' } } },
  });
  return `mosquitto_pub -h ${c.host} -p ${c.plain_port ?? 1883} -q 1 -t lwm2m/${FIRST}/reg -m '${body}'`;
}

/** The part of the server's own example that says how to reach the broker. */
function broker_options(c: Connect): string {
  const told = /^mosquitto_pub (.*?) -t /.exec(c.examples?.mosquitto_pub ?? '')?.[1];
  return told?.replace(/ -q \d/, '') ?? `-h ${c.host} -p ${c.plain_port ?? 1883}`;
}

function value_line(c: Connect): string {
  const body = JSON.stringify({ values: [{ path: '/3303/0/5700', value: 21.5 }] });
  return `mosquitto_pub ${broker_options(c)} -q 1 -t lwm2m/${FIRST}/send -m '${body}'`;
}

function listen_line(c: Connect): string {
  return `mosquitto_sub ${broker_options(c)} -v -t 'lwm2m/${FIRST}/cmd/#' -t 'lwm2m/${FIRST}/ack/#'`;
}

function Ports({ c }: { c: Connect }) {
  const port = (n: number | null, words: string) =>
    n ? (
      <Fact name={words}>
        <code>
          {c.host}:{n}
        </code>
      </Fact>
    ) : null;
  return (
    <dl class="facts">
      {port(c.tls_port, 'TLS, client certificate')}
      {port(c.tls_password_port, 'TLS, password')}
      {port(c.plain_port, 'Plain, this machine only')}
      {port(c.websocket_port, 'WebSocket, this machine only')}
      <Fact name="Sparkplug host id">
        <code>{c.host_id}</code>
      </Fact>
    </dl>
  );
}

export function ConnectGuide({ first = false }: { first?: boolean }) {
  useEffect(() => void connect_open(), []);
  const c = connect_info.value;
  return (
    <section class="card page-narrow guide">
      <h1>{first ? 'Connect the first device' : 'Connect devices'}</h1>
      <p class="lead">
        A device is one MQTT client. Its certificate name or user name is its LwM2M endpoint and its
        Sparkplug edge node id; both travel on that one connection.
      </p>
      {!c ? (
        <Quiet>Asking the server for its addresses</Quiet>
      ) : (
        <>
          <h2>1. Register one by hand</h2>
          <p>
            Paste this into a terminal on the server. The device appears{' '}
            {first ? 'here' : 'in the fleet'} at once.
          </p>
          <CodeLine
            text={c.examples?.mosquitto_pub || registration_line(c)}
            label="Copy the registration line"
          />
          <h2>2. Send a value</h2>
          <CodeLine text={value_line(c)} label="Copy the send line" />
          <h2>3. Listen as the device</h2>
          <p>Then press Read on its page and see the request arrive.</p>
          <CodeLine text={listen_line(c)} label="Copy the listen line" />
          <h2>Addresses of this server</h2>
          <Ports c={c} />
          <h2>Topics</h2>
          <dl class="facts facts-wide">
            <Fact name="LwM2M">
              <code>{c.examples?.lwm2m_topic ?? 'lwm2m/ENDPOINT/reg'}</code>
            </Fact>
            <Fact name="Sparkplug">
              <code>{c.examples?.sparkplug_topic ?? 'spBv1.0/GROUP/NBIRTH/ENDPOINT'}</code>
            </Fact>
          </dl>
        </>
      )}
    </section>
  );
}

export function ConnectPage() {
  return (
    <>
      {may_engineer.value && <AddDevice />}
      <ConnectGuide />
    </>
  );
}
