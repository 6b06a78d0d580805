'use strict';
// Node compares a certificate with the name in the request's Host header, which is what the browser asked for.
// Gateways' certificates are for the address that the proxy connects to.
const https = require('node:https');
const net = require('node:net');

const { addRequest } = https.Agent.prototype;
https.Agent.prototype.addRequest = function addRequestByAddress(request, options, ...rest) {
  const servername = net.isIP(options.host) ? '' : options.host;
  return addRequest.call(this, request, { ...options, servername }, ...rest);
};
