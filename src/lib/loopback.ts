/** Whether a host to listen on is this machine alone: a name or an address, without brackets. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
