/** The formats of strings that are held to, as regular expressions. Where a format is wide, its usual part. */

const HEX = "[0-9A-Fa-f]";
const LEAP_YEAR =
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
const DATE = `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|${LEAP_YEAR}-02-29)`;
const TIME =
  "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";

const NUMBER = "\\d{1,9}";
const DAYS = `(?:${NUMBER}Y(?:${NUMBER}M)?(?:${NUMBER}D)?|${NUMBER}M(?:${NUMBER}D)?|${NUMBER}D)`;
const HOURS = `T(?:${NUMBER}H(?:${NUMBER}M)?(?:${NUMBER}S)?|${NUMBER}M(?:${NUMBER}S)?|${NUMBER}S)`;

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const GROUP = `${HEX}{1,4}`;
/** Two colons stand for the groups between those on their left and right. */
const IPV6 = [
  `(?:${GROUP}:){7}${GROUP}`,
  `(?:${GROUP}:){1,7}:`,
  ...[1, 2, 3, 4, 5, 6].map(
    (right) => `(?:${GROUP}:){1,${7 - right}}(?::${GROUP}){1,${right}}`,
  ),
  `:(?:(?::${GROUP}){1,7}|:)`,
].join("|");

const ALNUM = "[A-Za-z0-9]";
/** Short enough for four of them to be a host name. */
const SHORT_LABEL = `${ALNUM}(?:-?${ALNUM}){0,29}`;
const LABEL = `${ALNUM}(?:-*${ALNUM})*`;
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const URI_CHAR = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%${HEX}{2})`;
const URI_CHAR_PLAIN = "[A-Za-z0-9._~!$&'()*+,;=:@/-]";
const SCHEME = "[A-Za-z][A-Za-z0-9+.-]{1,20}://";

const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  duration: `P(?:${DAYS}(?:${HOURS})?|${HOURS}|${NUMBER}W)`,
  uuid: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`,
  ipv4: `${OCTET}(?:\\.${OCTET}){3}`,
  ipv6: IPV6,
  hostname: `${SHORT_LABEL}(?:\\.${SHORT_LABEL}){0,3}`,
  email: `${ATOM}(?:\\.${ATOM})*@${LABEL}(?:\\.${LABEL})+`,
  uri: `${SCHEME}${LABEL}(?:\\.${LABEL})*(?::\\d{1,4})?(?:/${URI_CHAR}*)*(?:\\?(?:${URI_CHAR}|[/?])*)?(?:#(?:${URI_CHAR}|[/?])*)?`,
};

/** Shorter ones are counted character by character. */
const MIN_BOUNDED_URI = 60;
/** Each part's length is a rule for each of its characters. */
const MAX_BOUNDED_URI = 250;

/** A URI of `maxLength` characters at most, by the lengths of its parts: to count them all takes a rule for each count and part. */
function boundedUri(maxLength: number): string {
  const chars = Math.min(maxLength, MAX_BOUNDED_URI) - 33;
  const share = (part: number): string => `{0,${Math.floor(chars * part)}}`;
  return `${SCHEME}[A-Za-z0-9](?:[.-]?[A-Za-z0-9])${share(0.12)}(?::\\d{1,4})?(?:/${URI_CHAR_PLAIN}${share(0.4)})?(?:\\?${URI_CHAR_PLAIN}${share(0.25)})?(?:#${URI_CHAR_PLAIN}${share(0.1)})?`;
}

/** The regular expression of the whole text; undefined for a format that is not held to. */
export function formatRegex(
  format: string,
  maxLength = Infinity,
): string | undefined {
  if (!Object.hasOwn(FORMATS, format)) return undefined;
  return format === "uri" &&
    maxLength >= MIN_BOUNDED_URI &&
    maxLength < Infinity
    ? boundedUri(maxLength)
    : FORMATS[format];
}
