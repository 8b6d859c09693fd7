#!/usr/bin/env bash
# openssl: keys, signatures, digests and encryption made preloaded are checked without the library and the other way
# round; a preloaded server and client talk TLS on loopback.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require OPENSSL openssl

seq 1 100000 >data
for digest in sha256 sha3-512 blake2b512 md5; do
    run_both_ok "$digest" "$OPENSSL" dgst "-$digest" data
done
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
for cipher in aes-256-cbc aes-256-ctr chacha20 camellia-256-cbc; do
    run_both_ok "$cipher" "$OPENSSL" enc "-$cipher" -K "$key" -iv 000102030405060708090a0b0c0d0e0f -in data 2>>enc.log
    preloaded "$OPENSSL" enc -d "-$cipher" -K "$key" -iv 000102030405060708090a0b0c0d0e0f -in "$cipher.preloaded.out" \
        2>>enc.log | cmp - data
done
preloaded "$OPENSSL" enc -aes-256-cbc -pbkdf2 -iter 1000 -pass pass:word -base64 -in data |
    "$OPENSSL" enc -d -aes-256-cbc -pbkdf2 -iter 1000 -pass pass:word -base64 | cmp - data

preloaded "$OPENSSL" genrsa -out rsa.key 2048 2>>keys.log
preloaded "$OPENSSL" ecparam -name prime256v1 -genkey -noout -out ec.key
preloaded "$OPENSSL" genpkey -algorithm ed25519 -out ed.key
preloaded "$OPENSSL" rsa -in rsa.key -check -noout >>keys.log 2>&1
for kind in rsa ec; do
    preloaded "$OPENSSL" pkey -in $kind.key -pubout -out $kind.pub
    preloaded "$OPENSSL" dgst -sha256 -sign $kind.key -out $kind.sig data
    "$OPENSSL" dgst -sha256 -verify $kind.pub -signature $kind.sig data >>keys.log
    preloaded "$OPENSSL" dgst -sha256 -verify $kind.pub -signature $kind.sig data >>keys.log
    echo changed | cat data - >other
    if preloaded "$OPENSSL" dgst -sha256 -verify $kind.pub -signature $kind.sig other >>keys.log 2>&1; then
        fail "a wrong signature is accepted"
    fi
done

cat >cert.conf <<'CONF'
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
CN = quarry test
[ext]
subjectAltName = DNS:localhost,DNS:other.example.org
basicConstraints = critical, CA:TRUE
CONF
preloaded "$OPENSSL" req -x509 -new -key ec.key -sha256 -days 3650 -config cert.conf -out cert.pem
run_both_ok certificate "$OPENSSL" x509 -in cert.pem -noout -text
assert_equal "cert.pem: OK" "$(preloaded "$OPENSSL" verify -CAfile cert.pem cert.pem)" "verification"
preloaded "$OPENSSL" cms -encrypt -binary -in data -outform DER -out data.cms -aes256 cert.pem
preloaded "$OPENSSL" cms -decrypt -binary -inform DER -in data.cms -inkey ec.key -recip cert.pem | cmp - data
preloaded "$OPENSSL" pkcs12 -export -in cert.pem -inkey ec.key -passout pass:word -out both.p12
preloaded "$OPENSSL" pkcs12 -in both.p12 -passin pass:word -nodes -nocerts 2>>keys.log | grep -q 'PRIVATE KEY'

# TLS: the server takes a free port, says which, and answers with its own status page.
start_preloaded server.log "$OPENSSL" s_server -accept 127.0.0.1:0 -cert cert.pem -key ec.key -www
SERVER=$STARTED_PID
wait_until 20 grep -q '^ACCEPT 127.0.0.1:' server.log || fail "the server does not start"
PORT=$(sed -n 's/^ACCEPT 127.0.0.1://p' server.log)
assert_mapped "$SERVER"
for version in -tls1_3 -tls1_2; do
    for _ in 1 2 3 4 5; do
        printf 'GET / HTTP/1.0\r\n\r\n' | preloaded timeout 30 "$OPENSSL" s_client -connect "127.0.0.1:$PORT" "$version" \
            -CAfile cert.pem -verify_return_error -servername localhost -ign_eof >client.out 2>client.log ||
            fail "s_client $version"
        grep -q 'Verify return code: 0 (ok)' client.out
        grep -q '^HTTP/1.0 200 ok' client.out
    done
done
kill -0 "$SERVER" || fail "the server is gone"
