// A function on Node.js, for scale: Lambda's loop without a framework and, as its argument says, an authorizer or an echo.
//
// It does what the authorizer does for a token with nothing wrong about it: header, claims, times, signature, answer. It
// reads no secret and no keys from anywhere, and it writes no metrics, so it does less.

import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { Agent, request } from "node:http";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const outgoing = request({ host, port, method, path, headers, agent }, (incoming) => {
      const parts = [];
      incoming.on("data", (part) => parts.push(part));
      incoming.on("end", () => resolve({ headers: incoming.headers, body: Buffer.concat(parts).toString() }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const publicKey = process.env.JWKS && createPublicKey({ key: JSON.parse(process.env.JWKS).keys[0], format: "jwk" });

function isSigned(algorithm, signed, signature) {
  if (algorithm === "HS256") {
    const expected = createHmac("sha256", process.env.JWT_SECRET).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  return algorithm === "RS256" && verify("sha256", Buffer.from(signed), publicKey, signature);
}

function authorize(event) {
  const token = event.headers.authorization.slice("Bearer ".length);
  const [header, claims, signature] = token.split(".");
  const decode = (part) => JSON.parse(Buffer.from(part, "base64url"));
  const { alg } = decode(header);
  const { iss, sub, aud, exp, nbf, roles, tenant_id: tenantId } = decode(claims);
  const now = Date.now() / 1000;
  const isAuthorized =
    iss === process.env.JWT_ISSUER &&
    aud === process.env.JWT_AUDIENCE &&
    exp > now &&
    nbf <= now + 30 &&
    isSigned(alg, `${header}.${claims}`, Buffer.from(signature, "base64url"));
  return isAuthorized
    ? { isAuthorized, context: { userId: sub, roles: roles.join(","), tenantId, tokenExp: exp } }
    : { isAuthorized };
}

const handlers = { authorize, echo: (event) => event };
const handle = handlers[process.argv[2]];

for (;;) {
  const { headers, body } = await call("GET", "/2018-06-01/runtime/invocation/next");
  const answer = JSON.stringify(handle(JSON.parse(body)));
  await call("POST", `/2018-06-01/runtime/invocation/${headers["lambda-runtime-aws-request-id"]}/response`, answer);
}
