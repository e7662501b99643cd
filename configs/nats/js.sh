#!/usr/bin/env bash
# Talks to JetStream with nothing but bash, to try things out where no nats CLI is
# at hand. Without TLS: for loopback only. Run by go test ./cmd/jwkswatch -run TestNATSPage
#
#   js.sh call SUBJECT [JSON]           one question to the API, and its answer
#   js.sh next STREAM CONSUMER [COUNT]  takes events, one a line, and acknowledges them
#
# From the environment: NATS (127.0.0.1:4222), NATS_USER, NATS_PASSWORD.
set -euo pipefail
export LC_ALL=C
server=${NATS:-127.0.0.1:4222}
inbox="_INBOX_${NATS_USER:?}.$$"

exec 3<>"/dev/tcp/${server%:*}/${server##*:}"
read -r -t 5 _ <&3 # INFO
send() { printf "$@" >&3; }
send 'CONNECT {"user":"%s","pass":"%s","headers":true,"no_responders":true,"verbose":false,"lang":"bash","version":"1"}\r\n' \
  "$NATS_USER" "${NATS_PASSWORD:?}"
send 'SUB %s 1\r\n' "$inbox"
publish() { send 'PUB %s %s%d\r\n%s\r\n' "$1" "${2:+$2 }" "${#3}" "$3"; }

# message waits for one: its reply subject, head and body.
message() {
  local line fields size head=0
  while read -r -t "${TIMEOUT:-5}" line <&3; do
    read -ra fields <<<"${line%$'\r'}"
    case ${fields[0]} in
      MSG | HMSG)
        size=${fields[-1]} reply=''
        if [ "${fields[0]}" = HMSG ]; then
          head=${fields[-2]}
          [ ${#fields[@]} -lt 6 ] || reply=${fields[3]}
        elif [ ${#fields[@]} -ge 5 ]; then
          reply=${fields[3]}
        fi
        read -r -N "$head" header <&3 || true
        read -r -N $((size - head)) body <&3 || true
        read -r _ <&3
        return 0
        ;;
      PING) send 'PONG\r\n' ;;
      -ERR) echo "the server says: ${line%$'\r'}" >&2 && return 1 ;;
    esac
  done
  echo 'the server does not answer' >&2
  return 1
}

case ${1:-} in
  call)
    publish "$2" "$inbox" "${3:-}"
    message
    printf '%s\n' "$body"
    [[ $body != *'"error":'* ]]
    ;;
  next)
    left=${4:-1}
    publish "\$JS.API.CONSUMER.MSG.NEXT.$2.$3" "$inbox" "{\"batch\":$left,\"expires\":3000000000}"
    while [ "$left" -gt 0 ] && message && [ -n "$reply" ]; do
      printf '%s\n' "$body"
      publish "$reply" '' '+ACK'
      left=$((left - 1))
    done
    send 'PING\r\n' # what was acknowledged has arrived when it is answered
    while read -r -t 5 line <&3 && [[ $line != PONG* ]]; do :; done
    ;;
  *)
    sed -n '5,8s/^# *//p' "$0" >&2
    exit 2
    ;;
esac
