/**
 * etcd's JSON gateway: a request is a POST of JSON, an answer one object, a stream one a line. With a user's
 * name and password it gets the token that goes with each request.
 *
 * Reference: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
 */
import { type CallOptions, Endpoints, type TimeOptions } from "./endpoints.ts";
import { EtcdError, type Refusal, refusal } from "./error.ts";
import type { EtcdSettings } from "./settings.ts";

/**
 * A member that has lost the others says so at once, to a stream too, rather than when a call times out, or
 * never (etcd 3.4 etcdserver/api/v3rpc/interceptor.go).
 */
const REQUIRE_LEADER = { "Grpc-Metadata-hasleader": "true" };

/** etcd 3.4 embed/serve.go: with users its gateway answers 400 to such a client, whatever password it has. */
const COMMON_NAME = "a client certificate must have no CN where etcd has users (etcd's gateway refuses it)";

export class Gateway implements Disposable {
  readonly endpoints: Endpoints;
  readonly #user: { readonly name: string; readonly password: string } | undefined;
  readonly #session: Bun.FetchSession;
  /** "" where etcd wants no token. */
  #token: string | undefined;

  constructor(settings: EtcdSettings, options: TimeOptions = {}) {
    const { endpoints, host, user, password = "", tls } = settings;
    this.endpoints = new Endpoints(endpoints, host, options);
    this.#user = user === undefined ? undefined : { name: user, password };
    // The proxy that a runtime's environment names is for images.
    this.#session = new Bun.FetchSession({ proxy: false, ...(tls && { tls }) });
  }

  /** @throws EtcdError */
  post<Answer>(path: string, request: object, options: CallOptions = {}): Promise<Answer> {
    return this.endpoints.ask(
      (endpoint, signal) =>
        this.#withToken(endpoint, signal, async (token) => {
          const response = await this.#fetch(endpoint + path, request, { token, signal });
          return answerIn<Answer>(await response.text(), endpoint);
        }),
      options,
    );
  }

  /**
   * Opens a stream: there is its first answer when this returns. It ends with `signal`, or when the endpoint
   * fails a call. @throws EtcdError
   */
  openStream(path: string, request: object, signal: AbortSignal): Promise<Stream> {
    return this.endpoints.ask(
      (endpoint, opening, stay) =>
        this.#withToken(endpoint, opening, async (token) => {
          const stop = new AbortController();
          for (const other of [opening, signal, stay]) {
            const abort = () => stop.abort(other.reason);
            other.addEventListener("abort", abort, { signal: stop.signal });
            if (other.aborted) abort();
          }
          const { body } = await this.#fetch(endpoint + path, request, { token, signal: stop.signal });
          return { endpoint, chunks: body ?? new ReadableStream() };
        }),
      { signal },
    );
  }

  [Symbol.dispose](): void {
    this.endpoints[Symbol.dispose]();
    this.#session.close();
  }

  /** Once more with another token when etcd does not know this one (any more). */
  async #withToken<T>(endpoint: string, signal: AbortSignal, use: (token: string) => Promise<T>): Promise<T> {
    const known = this.#token;
    try {
      return await use(known ?? (await this.#authenticate(endpoint, signal)));
    } catch (error) {
      const isStale = error instanceof EtcdError && error.kind === "unauthenticated" && known !== undefined;
      if (!isStale || !this.#user) throw error;
      return use(await this.#authenticate(endpoint, signal));
    }
  }

  async #authenticate(endpoint: string, signal: AbortSignal): Promise<string> {
    if (!this.#user) return "";
    try {
      const response = await this.#fetch(`${endpoint}/v3/auth/authenticate`, this.#user, { signal });
      const { token = "" } = answerIn<{ token?: string }>(await response.text(), endpoint);
      this.#token = token;
    } catch (error) {
      const isNotNeeded = error instanceof EtcdError && error.words === "authentication is not enabled";
      if (!isNotNeeded) throw error;
      this.#token = "";
    }
    return this.#token;
  }

  async #fetch(
    url: string,
    request: object,
    { token, signal }: { token?: string; signal: AbortSignal },
  ): Promise<Response> {
    const headers = { ...REQUIRE_LEADER, ...(token && { authorization: token }) };
    const response = await this.#session.fetch(url, {
      method: "POST",
      body: JSON.stringify(request),
      headers,
      signal,
      redirect: "error",
      timeout: false, // of Bun's own, after minutes of silence: a watch has them where nothing happens
    });
    if (response.ok) return response;
    const { origin } = new URL(url);
    answerIn(await response.text(), origin, response.status);
    throw new EtcdError("refused", `HTTP ${response.status} without a reason`, { endpoint: origin });
  }
}

export interface Stream {
  readonly endpoint: string;
  readonly chunks: ReadableStream<Uint8Array>;
}

/** What an answer says, or a line of a stream. @throws EtcdError when that is no */
export function answerIn<Answer>(text: string, endpoint: string, status = 200): Answer {
  let json: { result?: Answer; error?: string | Refusal };
  try {
    json = JSON.parse(text);
  } catch {
    if (text.startsWith("CommonName")) throw new EtcdError("unauthenticated", COMMON_NAME, { endpoint });
    const kind = status >= 500 ? "unavailable" : "refused";
    throw new EtcdError(kind, `HTTP ${status}, and no answer of etcd v3: ${text.slice(0, 80).trim()}`, {
      endpoint,
    });
  }
  const { result, error } = json;
  if (typeof error === "object") throw refusal(error, endpoint);
  if (error !== undefined) throw refusal(json as Refusal, endpoint); // that is where `error` is a text
  return result ?? (json as Answer); // what is asked for decides it: every part of it may be absent
}
