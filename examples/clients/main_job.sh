#!/bin/sh
# The main job with plain curl: five record types, from create to 410.
#
#   sh main_job.sh [base URL]      (or FHIR_BASE, default http://127.0.0.1:8080/fhir)
#
# Prints each step; stops with exit code 1 at the first answer that differs from what R4 promises.
# Needs: curl and the usual tools of a POSIX system (sed, grep, tr, sort).
set -eu

BASE=${1:-${FHIR_BASE:-http://127.0.0.1:8080/fhir}}
RECORDS=$(dirname "$0")/records
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

fail() { echo "MISMATCH: $*" >&2; exit 1; }
ok() { echo "  ok  $*"; }

# call STATUS METHOD URL [curl arguments]: leaves the answer in $WORK/head and $WORK/body; STATUS may be a pattern.
call() {
    want=$1 method=$2 url=$3
    shift 3
    got=$(curl --silent --show-error --request "$method" --dump-header "$WORK/head" --output "$WORK/body" \
        --write-out '%{http_code}' --header 'Accept: application/fhir+json' "$@" "$url")
    echo "$got" | grep -Eqx "$want" || fail "$method $url gave $got instead of $want: $(cat "$WORK/body")"
}

# send STATUS METHOD URL FILE [curl arguments]: the same with a JSON body.
send() {
    want_=$1 method_=$2 url_=$3 file=$4
    shift 4
    call "$want_" "$method_" "$url_" --header 'Content-Type: application/fhir+json' --data-binary "@$file" "$@"
}

header() { tr -d '\r' <"$WORK/head" | grep -i "^$1:" | sed 's/^[^:]*: *//'; }
has() { grep -Eq "$1" "$WORK/body"; }

# The id stands in Location: [base]/Type/ID/_history/VERSION
new_id() { header location | sed -E 's#.*/([^/]+)/_history/.*#\1#'; }

# The url of the link "next" in the Bundle of $WORK/body, empty on the last page.
next_link() { tr '{' '\n' <"$WORK/body" | grep -E '"relation": *"next"' | sed -E 's/.*"url": *"([^"]*)".*/\1/' || true; }

# run_type TYPE ELEMENT BEFORE AFTER: the whole job for one record type; BEFORE and AFTER as JSON.
run_type() {
    type=$1 element=$2 before=$3 after=$4
    echo "$type"
    sed "s/{{patientId}}/$patient/" "$RECORDS/$type.json" >"$WORK/record"

    : >"$WORK/ids"
    for _ in 1 2 3 4 5; do
        send 201 POST "$BASE/$type" "$WORK/record"
        new_id >>"$WORK/ids"
    done
    id=$(head -n 1 "$WORK/ids")
    ok "created 5 records"

    call 200 GET "$BASE/$type/$id"
    etag=$(header etag)
    has "\"$element\": *$before" || fail "$type/$id does not say $element = $before"
    ok "read $id, version $etag"

    sed -E "s/\"$element\": *$before/\"$element\": $after/" "$WORK/body" >"$WORK/changed"
    send 200 PUT "$BASE/$type/$id" "$WORK/changed" --header "If-Match: $etag"
    [ "$(header etag)" != "$etag" ] || fail "the update made no new version"
    ok "updated $element to $after, version $(header etag)"
    send 412 PUT "$BASE/$type/$id" "$WORK/changed" --header "If-Match: $etag"
    ok "a second update of version $etag is refused (412)"

    old=$(printf '%s' "$etag" | sed 's#W/##; s/"//g')
    call 200 GET "$BASE/$type/$id/_history/$old"
    has "\"$element\": *$before" || fail "version $old no longer says $element = $before"
    call 200 GET "$BASE/$type/$id/_history"
    [ "$(grep -o '"versionId"' "$WORK/body" | wc -l)" -eq 2 ] || fail "the history does not have two versions"
    ok "version $old is still there; the history has two"

    : >"$WORK/found"
    pages=0
    url="$BASE/$type?patient=$patient&_count=2"
    while [ -n "$url" ]; do
        call 200 GET "$url"
        pages=$((pages + 1))
        tr ',{' '\n\n' <"$WORK/body" | sed -nE 's#.*"fullUrl": *"[^"]*/([^/"]+)".*#\1#p' >>"$WORK/found"
        url=$(next_link)
    done
    sort "$WORK/ids" >"$WORK/a"
    sort "$WORK/found" >"$WORK/b"
    cmp -s "$WORK/a" "$WORK/b" || fail "the search found other records than were created"
    [ "$pages" = 3 ] || fail "5 records in pages of 2 are 3 pages, not $pages"
    ok "found the 5 on $pages pages"

    while read -r one; do
        call '20[04]' DELETE "$BASE/$type/$one"
    done <"$WORK/ids"
    call 410 GET "$BASE/$type/$id"
    call 200 GET "$BASE/$type?patient=$patient"
    ! has '"fullUrl"' || fail "the search still finds deleted records"
    ok "deleted: reading gives 410, searching finds none"
}

send 201 POST "$BASE/Patient" "$RECORDS/Patient.json"
patient=$(new_id)
echo "Patient $patient at $BASE"
run_type DocumentReference status '"current"' '"superseded"'
run_type Consent status '"active"' '"inactive"'
run_type RelatedPerson active true false
run_type Observation status '"final"' '"amended"'
run_type ExplanationOfBenefit status '"active"' '"cancelled"'
echo "A refusal"
sed "s/{{patientId}}/$patient/; s/\"final\"/\"done\"/" "$RECORDS/Observation.json" >"$WORK/record"
send 422 POST "$BASE/Observation" "$WORK/record"
has '"expression": *\["Observation.status"\]' || fail "the OperationOutcome does not say where: $(cat "$WORK/body")"
ok "a status that R4 doesn't know is refused (422): $(sed -E 's/.*"diagnostics": *"([^"]*)".*/\1/' "$WORK/body")"
call '20[04]' DELETE "$BASE/Patient/$patient"
call 410 GET "$BASE/Patient/$patient"
ok "the patient is deleted too"
echo "main job done"
