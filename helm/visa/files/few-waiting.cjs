'use strict';
// Connections that bring no request (nothing, half of a head, half of a TLS handshake) are bounded by number; Node bounds
// them in time only. Of too many, the address that has most loses its oldest. One that is answered, or is a websocket, is
// never closed for others.
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');

const MOST = Number(process.env.VISA_MOST_WAITING) || 2000;
const crowds = new Map(); // address: sockets by port, the oldest first
let count = 0;

function forget(socket) {
  const { address, port } = socket.visa;
  if (crowds.get(address)?.delete(port)) {
    count -= 1;
    if (crowds.get(address).size === 0) crowds.delete(address);
  }
}

function makeRoom() {
  const largest = [...crowds.values()].reduce((one, other) => (other.size > one.size ? other : one));
  const oldest = largest.values().next().value;
  forget(oldest);
  oldest.destroy();
}

function waits(socket) {
  if (socket.destroyed) return;
  socket.visa ??= { address: socket.remoteAddress, port: socket.remotePort };
  forget(socket);
  const { address, port } = socket.visa;
  if (!crowds.has(address)) crowds.set(address, new Map());
  crowds.get(address).set(port, socket);
  count += 1;
  if (count > MOST) makeRoom();
}

function comes(socket) {
  waits(socket);
  socket.once('close', () => {
    if (crowds.get(socket.visa?.address)?.get(socket.visa.port) === socket) forget(socket);
  });
}

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function listenWithFewWaiting(...given) {
  if (this instanceof http.Server || this instanceof https.Server) {
    this.on('connection', comes);
    this.on('secureConnection', comes); // the same address and port: takes the place of the handshake's
    this.prependListener('request', ({ socket }, response) => {
      forget(socket);
      response.once('close', () => waits(socket));
    });
    // Without a handler of its own Node answers an Upgrade like any request; a listener would leave the socket to nobody.
    if (this.listenerCount('upgrade') > 0) this.prependListener('upgrade', ({ socket }) => forget(socket));
  }
  return listen.apply(this, given);
};
