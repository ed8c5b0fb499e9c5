/**
 * Errors of system calls, by name.
 *
 * Numbers: asm-generic/errno-base.h and asm-generic/errno.h, which x86-64 and arm64 share.
 */

/** A name for each number; "-" where there is none. */
const NAMES =
  "- EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK " +
  "EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE " +
  "EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM " +
  "ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT " +
  "- EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP " +
  "EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ " +
  "ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT " +
  "ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH " +
  "ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT " +
  "ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM " +
  "EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED " +
  "EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

let names: readonly string[] | undefined;

/** "ENOENT" for 2; "errno 524" where the number has no name. */
export function errnoName(errno: number): string {
  names ??= NAMES.split(" ");
  const name = names[errno] ?? "-";
  return name === "-" ? `errno ${errno}` : name;
}

/** A system call failed. The message reads `open "/nope": ENOENT (no such file or directory)`. */
export class ErrnoError extends Error {
  readonly call: string;
  readonly errno: number;
  /** The errno's name, for example "ENOENT". */
  readonly code: string;
  /** What it was about, such as a path. */
  readonly subject: string | undefined;
  readonly #text: string;

  constructor(call: string, errno: number, options: { text: string; subject?: string | undefined }) {
    super(`${call}${options.subject === undefined ? "" : ` "${options.subject}"`}: ${options.text}`);
    this.name = "ErrnoError";
    this.call = call;
    this.errno = errno;
    this.code = errnoName(errno);
    this.subject = options.subject;
    this.#text = options.text;
  }

  /** The same error, of a call that knows a descriptor alone, where what that is can be said. */
  about(subject: string): ErrnoError {
    return this.subject === undefined
      ? new ErrnoError(this.call, this.errno, { text: this.#text, subject })
      : this;
  }
}

/** Whether `error` is a failed system call, of one of the named kinds if any are named. */
export function isErrno(error: unknown, ...codes: string[]): error is ErrnoError {
  return error instanceof ErrnoError && (codes.length === 0 || codes.includes(error.code));
}
