/**
 * What goes wrong between us and etcd, in kinds that a caller can act on, with the endpoint's own words.
 *
 * Reference: google.golang.org/grpc/codes; etcd 3.4 etcdserver/api/v3rpc/rpctypes/error.go
 */

export type EtcdErrorKind =
  /** No endpoint answers, or none of them has a leader. */
  | "unavailable"
  /** There was no answer in time. */
  | "timeout"
  /** What happened since that revision is no longer told: list again. */
  | "compacted"
  /** The watch ended: begin another, after the last revision that was seen. */
  | "lost"
  /** The lease has expired or was revoked, and its keys with it. */
  | "lease-gone"
  /** Unknown user, wrong password, or none where there has to be one; a certificate that cannot be used. */
  | "unauthenticated"
  /** The user may not do this. */
  | "denied"
  /** etcd does not do this: a wrong argument, too much at once, no space left. */
  | "refused";

export interface EtcdErrorOptions {
  /** Whose words they are; of several that failed, the last. */
  readonly endpoint: string;
  /** A change that was asked for may have been made, or may still be. */
  readonly isOutcomeUnknown?: boolean;
  readonly cause?: unknown;
}

export class EtcdError extends Error {
  readonly kind: EtcdErrorKind;
  readonly endpoint: string;
  readonly isOutcomeUnknown: boolean;
  /** What happened, without who it happened to. */
  readonly words: string;

  constructor(kind: EtcdErrorKind, words: string, { endpoint, isOutcomeUnknown, cause }: EtcdErrorOptions) {
    super(`etcd at ${endpoint}: ${words}`, { cause });
    this.name = "EtcdError";
    this.kind = kind;
    this.endpoint = endpoint;
    this.isOutcomeUnknown = isOutcomeUnknown ?? false;
    this.words = words;
  }

  /** Another endpoint, or the same one later, may do it. */
  get isAway(): boolean {
    return this.kind === "unavailable" || this.kind === "timeout" || this.kind === "lost";
  }

  /** There was no connection to ask on. */
  get isUnheard(): boolean {
    return this.cause !== undefined && !this.isOutcomeUnknown;
  }
}

/** The body of an answer that is not 200 OK; in a stream, the part under `error`. */
export interface Refusal {
  readonly message?: string;
  readonly code?: number;
  /** In a stream, until etcd 3.5. */
  readonly grpc_code?: number;
}

const CANCELED = 1;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const OUT_OF_RANGE = 11;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** The error that such a body tells of. */
export function refusal(body: Refusal, endpoint: string): EtcdError {
  const code = body.code ?? body.grpc_code ?? 0;
  const words = (body.message ?? `gRPC code ${code}`).replace(/^etcdserver: (mvcc: )?/, "");
  const kind = kindOf(code, words);
  // These two are said before anything is done.
  const isOutcomeUnknown =
    (kind === "unavailable" || kind === "timeout") && !/^(no leader|too many requests)$/.test(words);
  return new EtcdError(kind, words, { endpoint, isOutcomeUnknown });
}

function kindOf(code: number, words: string): EtcdErrorKind {
  switch (code) {
    case UNAVAILABLE:
    case CANCELED:
      return "unavailable";
    case DEADLINE_EXCEEDED:
      return "timeout";
    case UNAUTHENTICATED:
      return "unauthenticated";
    case PERMISSION_DENIED:
      return "denied";
    case OUT_OF_RANGE:
      return words.includes("compacted") ? "compacted" : "refused";
    case NOT_FOUND:
      return words.includes("lease") ? "lease-gone" : "refused";
    case RESOURCE_EXHAUSTED:
      return words === "too many requests" ? "unavailable" : "refused";
    case INVALID_ARGUMENT:
      return /^(authentication failed|user name is empty|revision of auth store is old)/.test(words)
        ? "unauthenticated"
        : "refused";
    default:
      return "refused";
  }
}

/** What fetch finds before it has sent anything. */
const NOT_SENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name cannot be resolved now",
  EPROTO: "the TLS handshake failed",
  ERR_TLS_CERT_ALTNAME_INVALID: "the certificate is not of this host",
};
/** The names that OpenSSL has for what is wrong with a certificate. */
const CERTIFICATE = /CERT|LEAF_SIGNATURE/;

/** That is all that Bun says where it can make no use of certificates or key; other sockets fail by errno. */
const UNUSABLE_TLS = "the certificates, or the key, cannot be used; is it the certificate's key?";

/** What fetch throws where there is no answer. */
export function noAnswer(error: unknown, endpoint: string): EtcdError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const message = error instanceof Error ? error.message : String(error);
  if (code === "FailedToOpenSocket")
    return new EtcdError("unauthenticated", UNUSABLE_TLS, { endpoint, cause: error });
  const closed = `the connection was closed; does it speak ${endpoint.replace(/:.*/, "")}?`;
  const words = NOT_SENT[code] ?? (code === "ECONNRESET" ? closed : message);
  const isOutcomeUnknown = !(code in NOT_SENT) && !CERTIFICATE.test(code);
  return new EtcdError("unavailable", words, { endpoint, isOutcomeUnknown, cause: error });
}
