// Runs the npm package oidc-provider (an OpenID Certified implementation) on this machine for one
// client, with its own pages for log-in and consent. Anybody gets in by any password; the groups of
// the person are the words of the name after the first: "anna it radiology".
//
//   node tests/openid_peer.mjs FOLDER_WITH_NODE_MODULES PORT REDIRECT_URI RS256|ES256
//
// The environment holds CLIENT_SECRET. It says "listening" when it does. UserInfo alone has the
// name and the groups, as OpenID Connect Core 1.0, section 5.4 wants it for the code flow.

import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, port, redirect, algorithm] = process.argv.slice(2);
const place = join(folder, 'node_modules', 'oidc-provider', 'lib', 'index.js');
const { default: Provider } = await import(pathToFileURL(place));

function key(kind, options, name) {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: name, use: 'sig' };
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'ichnode',
    client_secret: process.env.CLIENT_SECRET,
    redirect_uris: [redirect],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    id_token_signed_response_alg: algorithm,
  }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
  cookies: { keys: ['a key of a test'] },
  jwks: {
    keys: [
      key('rsa', { modulusLength: 2048 }, 'rsa-1'),
      key('ec', { namedCurve: 'P-256' }, 'ec-1'),
      key('rsa', { modulusLength: 2048 }, 'rsa-2'),
    ],
  },
  pkce: { required: () => true },
  findAccount(_, id) {
    const [name, ...groups] = id.split(' ');
    return { accountId: id, claims: () => ({ sub: id, preferred_username: name, groups }) };
  },
});
provider.on('server_error', (_, error) => console.error(error));
provider.on('grant.error', (_, error) => console.error(`grant refused: ${error.message}`));
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
