#!/bin/sh
# A walk through every route of the users service, with good and bad input:
#
#     sh examples/users/tour.sh URL TOKEN [TOKEN_WITHOUT_SCOPES]
#
# Shows each request as a curl command and what came back. Ends with 1 if any status is not the announced one.
# Needs nothing but a POSIX shell and curl; leaves the database as it was.
set -u

if [ $# -lt 2 ]; then
  echo "usage: sh tour.sh URL TOKEN [TOKEN_WITHOUT_SCOPES]    (npm start prints the first two)" >&2
  exit 64
fi
base=${1%/}
token=$2
token_without_scopes=${3:-}

answer=$(mktemp -d) || exit 1
trap 'rm -rf "$answer"' EXIT
trap 'exit 130' INT TERM

requests=0
surprises=''

title() {
  printf '\n== %s\n' "$1"
}

# quoted WORD: as it has to be typed in a shell, with tokens cut short.
quoted() {
  shown=$(printf '%s' "$1" | sed "s/\(Bearer .\{12\}\).*/\1…/; s/'/'\\\\''/g")
  case $shown in
    *[!A-Za-z0-9_./:@-]*) printf " '%s'" "$shown" ;;
    *) printf ' %s' "$shown" ;;
  esac
}

# header NAME: its value in the last answer.
header() {
  grep -i "^$1:" "$answer/head" | sed 's/^[^:]*: *//'
}

# expect STATUS… METHOD PATH [curl options]: the request, the answer, and whether it is one of those announced.
expect() {
  wanted=''
  while case $1 in [0-9]*) true ;; *) false ;; esac; do
    wanted="$wanted $1"
    shift
  done
  method=$1
  url=$base$2
  shift 2
  case $method in
    GET) ;;
    HEAD) set -- -I "$@" ;;
    *) set -- -X "$method" "$@" ;;
  esac
  requests=$((requests + 1))

  printf '\n# expect%s\n$ curl' "$wanted"
  for word in "$@" "$url"; do quoted "$word"; done
  printf '\n'
  : >"$answer/body"
  if ! status=$(curl -sS --max-time 20 -o "$answer/body" -D "$answer/head.raw" -w '%{http_code}' "$@" "$url"); then
    printf 'No answer from %s\n' "$base"
    exit 1
  fi
  tr -d '\r' <"$answer/head.raw" >"$answer/head"
  [ "$method" = HEAD ] && : >"$answer/body"
  show

  case "$wanted " in
    *" $status "*) ;;
    *)
      printf '!! %s instead of%s\n' "$status" "$wanted"
      surprises="$surprises
  $method $url: $status instead of$wanted"
      ;;
  esac
}

# Status line, the headers that this service is about, and the beginning of the body.
show() {
  grep '^HTTP/' "$answer/head" | tail -n 1
  grep -iE '^(location|etag|link|www-authenticate|allow|content-type):' "$answer/head"
  if [ -s "$answer/body" ]; then
    head -c 600 "$answer/body"
    [ "$(wc -c <"$answer/body")" -gt 600 ] && printf '…'
    printf '\n'
  fi
}

# With the token; with JSON; for the versions that are named.
signed() { expect "$@" -H "Authorization: Bearer $token"; }
json() {
  body=$1
  shift
  signed "$@" -H 'Content-Type: application/json' -d "$body"
}

# Names that nobody has yet, so that the walk can be repeated.
tag=$(date +%s)-$$
person() {
  printf '{"email":"%s-%s@example.com","name":"%s","username":"%s-%s"}' "$1" "$tag" "$2" "$1" "$tag"
}

title 'Open to everybody'
expect 200 GET /health
expect 200 404 GET /openapi.json # 404 in production, where the documents are off
expect 200 404 GET /docs

title 'Who may call'
expect 401 GET /protected
expect 401 GET /protected -H 'Authorization: Bearer not.a.token'
signed 200 GET /protected
expect 401 GET /api/users
if [ -n "$token_without_scopes" ]; then
  expect 200 GET /protected -H "Authorization: Bearer $token_without_scopes"
  expect 403 GET /api/users -H "Authorization: Bearer $token_without_scopes"
fi

title 'Create'
json "$(person ada 'Ada Lovelace')" 201 POST /api/users
ada=$(header location)
json "$(person ADA 'Somebody else')" 409 POST /api/users
json "$(person ada 'Somebody else' | sed 's/@/+other@/')" 409 POST /api/users
json '{"email":"nope","username":"a","admin":true}' 400 POST /api/users
json '{"email":"a@example.com","\u0065mail":"b@example.com"}' 400 POST /api/users
json '{"email":' 400 POST /api/users
signed 415 POST /api/users -H 'Content-Type: text/plain' -d 'ada'
head -c 110000 /dev/zero | tr '\0' ' ' >"$answer/large"
signed 413 POST /api/users -H 'Content-Type: application/json' --data-binary "@$answer/large"

title 'Read'
signed 200 GET "$ada"
etag=$(header etag)
signed 304 GET "$ada" -H "If-None-Match: $etag"
signed 200 HEAD "$ada"
signed 404 GET /api/users/00000000-0000-7000-8000-000000000000
signed 400 GET /api/users/42
signed 406 GET "$ada" -H 'Accept: application/xml'

title 'List'
json "$(person bob 'Bob')" 201 POST /api/users
bob=$(header location)
json "$(person cleo 'Cleo')" 201 POST /api/users
cleo=$(header location)
signed 200 GET '/api/users?limit=2'
next=$(header link | sed 's/^<\(.*\)>.*/\1/')
signed 200 GET "$next"
signed 400 GET '/api/users?limit=101'
signed 400 GET '/api/users?cursor=made-up'
signed 400 GET '/api/users?name=Ada'

title 'Change'
json '{"name":"Ada King"}' 428 PATCH "$ada"
json '{"name":"Ada King"}' 200 PATCH "$ada" -H "If-Match: $etag"
newer=$(header etag)
json '{"name":"Ada Byron"}' 412 PATCH "$ada" -H "If-Match: $etag"
json '{}' 400 PATCH "$ada" -H "If-Match: $newer"
json '{"name":"Nobody"}' 404 PATCH /api/users/00000000-0000-7000-8000-000000000000 -H 'If-Match: *'
signed 200 GET "$ada"

title 'Delete'
signed 428 DELETE "$ada"
signed 412 DELETE "$ada" -H "If-Match: $etag"
signed 204 DELETE "$ada" -H "If-Match: $newer"
signed 404 GET "$ada"
signed 204 DELETE "$bob" -H 'If-Match: *'
signed 204 DELETE "$cleo" -H 'If-Match: *'

title 'What is not there'
expect 404 GET /nowhere
signed 405 PUT "$ada"
expect 204 OPTIONS /api/users

printf '\n'
if [ -n "$surprises" ]; then
  printf 'Not as announced:%s\n' "$surprises"
  exit 1
fi
printf '%s requests, each answered as announced.\n' "$requests"
