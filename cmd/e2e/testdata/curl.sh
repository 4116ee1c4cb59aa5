#!/bin/sh
# Every operation of the messaging API, as a curl command and what it answers.
#
#   sh curl.sh [http://127.0.0.1:8888 [embedded://local/NAME]]
#
# The second argument is a database that may become a pool while the script runs. The script stops at the first answer
# that is not what it should be.
set -eu

base=${1:-http://127.0.0.1:8888}
pool_uri=${2:-embedded://local/curl}
client=3381af92-2b9e-11e3-b191-71861300734c
project=curl-$$
admin=

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

title() {
	printf '\n== %s\n' "$*"
}

# ask STATUS METHOD PATH [BODY [CONTENT-TYPE]]: shows the command and the answer, which must have the status.
ask() {
	status=$1 method=$2 path=$3 body=${4-} type=${5:-application/json}
	set -- -X "$method" -H "Client-ID: $client" -H "X-Project-ID: $project"
	[ -z "$admin" ] || set -- "$@" -H "X-Roles: admin"
	[ -z "$body" ] || set -- "$@" -H "Content-Type: $type" -d "$body"
	printf '\n$ curl -i'
	for word in "$@" "$base$path"; do
		case $word in
		*[!A-Za-z0-9_/:.-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	echo
	: >"$temp/body"
	got=$(curl -sS --max-time 60 -D "$temp/raw" -o "$temp/body" -w '%{http_code}' "$@" "$base$path")
	tr -d '\r' <"$temp/raw" >"$temp/headers"
	printf '%s\n' "$got"
	grep -i '^location:' "$temp/headers" || true
	[ ! -s "$temp/body" ] || { cat "$temp/body" && echo; }
	if [ "$got" != "$status" ]; then
		printf 'The status should be %s.\n' "$status" >&2
		exit 1
	fi
}

# location: the last part of the answer's Location.
location() {
	sed -n 's/^[Ll]ocation: .*[/=]//p' "$temp/headers"
}

# has TEXT: the answer must hold it.
has() {
	if ! tr -d ' \n' <"$temp/body" | grep -qF -- "$1"; then
		printf 'The answer should hold %s\n' "$1" >&2
		exit 1
	fi
}

title Home document
ask 200 GET /v2/
has '"rel/queue"'

title Queues
ask 201 PUT /v2/queues/jobs '{"_default_message_ttl": 300, "colour": "red"}'
ask 200 GET '/v2/queues?detailed=true&limit=5'
has '"name":"jobs"'
ask 200 GET /v2/queues/jobs
has '"colour":"red"'
ask 200 PATCH /v2/queues/jobs '[{"op": "replace", "path": "/metadata/colour", "value": "green"}]' \
	application/openstack-messaging-v2.0-json-patch
has '"colour":"green"'
ask 200 GET /v2/queues/jobs/stats
has '"total":0'
ask 200 POST /v2/queues/jobs/share '{"paths": ["messages"], "methods": ["GET"]}'
has '"signature":'
ask 204 POST /v2/queues/jobs/purge '{"resource_types": ["messages"]}'

title Messages
ask 201 POST /v2/queues/jobs/messages \
	'{"messages": [{"body": {"resize": "cat.png"}, "ttl": 300}, {"body": {"resize": "dog.png"}, "ttl": 300}, {"body": 3}]}'
messages=$(location)
first=${messages%%,*}
last=${messages##*,}
ask 200 GET '/v2/queues/jobs/messages?echo=true&limit=10'
has cat.png
ask 200 GET "/v2/queues/jobs/messages/$first"
has cat.png
ask 200 GET "/v2/queues/jobs/messages?ids=$first,$last"
has '"body":3'
ask 204 DELETE "/v2/queues/jobs/messages/$last"
ask 204 DELETE "/v2/queues/jobs/messages?ids=$last"
ask 404 GET "/v2/queues/jobs/messages/$last"

title Claims
ask 201 POST '/v2/queues/jobs/claims?limit=2' '{"ttl": 300, "grace": 60}'
claim=$(location)
has "$first?claim_id=$claim"
ask 200 GET "/v2/queues/jobs/claims/$claim"
has dog.png
ask 204 PATCH "/v2/queues/jobs/claims/$claim" '{"ttl": 600, "grace": 60}'
ask 204 DELETE "/v2/queues/jobs/messages/$first?claim_id=$claim"
ask 204 DELETE "/v2/queues/jobs/claims/$claim"
ask 200 DELETE '/v2/queues/jobs/messages?pop=1'
has dog.png
ask 204 POST /v2/queues/jobs/claims

title Subscriptions
ask 201 POST /v2/queues/jobs/subscriptions '{"subscriber": "http://127.0.0.1:1/hook", "ttl": 600, "options": {"a": 1}}'
subscription=$(sed 's/.*"subscription_id": *"\([^"]*\)".*/\1/' "$temp/body")
ask 200 GET /v2/queues/jobs/subscriptions
has "$subscription"
ask 200 GET "/v2/queues/jobs/subscriptions/$subscription"
ask 204 PATCH "/v2/queues/jobs/subscriptions/$subscription" '{"ttl": 1200}'
ask 204 PUT "/v2/queues/jobs/subscriptions/$subscription/confirm" '{"confirmed": true}'
ask 204 DELETE "/v2/queues/jobs/subscriptions/$subscription"

title Topics
ask 201 PUT /v2/topics/news '{}'
ask 200 GET /v2/topics
ask 201 POST /v2/topics/news/messages '{"messages": [{"body": "Coffee is ready", "ttl": 300}]}'
ask 200 GET '/v2/topics/news/messages?echo=true'
has Coffee
ask 200 GET /v2/topics/news/stats
ask 204 DELETE /v2/topics/news

admin=yes

title Pools
ask 201 PUT /v2/pools/curl "{\"uri\": \"$pool_uri\", \"weight\": 0}"
ask 200 GET /v2/pools
has '"name":"curl"'
ask 200 GET '/v2/pools/curl?detailed=true'
ask 200 PATCH /v2/pools/curl '{"weight": 100}'
has '"weight":100'

title Flavors
ask 201 PUT /v2/flavors/quick '{"pool_list": ["curl"]}'
ask 200 GET '/v2/flavors?detailed=true'
has '"name":"quick"'
ask 200 GET /v2/flavors/quick
ask 200 PATCH /v2/flavors/quick '{"pool_list": ["curl"]}'
ask 204 DELETE /v2/flavors/quick
ask 204 DELETE /v2/pools/curl

title Health
ask 204 GET /v2/ping
ask 200 GET /v2/health
has '"storage_reachable":true'

admin=
ask 204 DELETE /v2/queues/jobs
title 'All went well.'
