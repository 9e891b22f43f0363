package pg

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// scramIterations and scramSalt are the server's own
// (SCRAM_SHA_256_DEFAULT_ITERATIONS, SCRAM_DEFAULT_SALT_LEN in scram-common.h).
const (
	scramIterations = 4096
	scramSalt       = 16
)

// scramVerifier is what the server stores of a password (RFC 5803, pg_be_scram_build_secret):
// sent in its place, so that the password itself reaches neither the server's
// log nor pg_stat_statements.
func scramVerifier(password string) (string, error) {
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // never fails
	return buildVerifier(password, salt, scramIterations)
}

func buildVerifier(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	sign := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt),
		encode(stored[:]), encode(sign(salted, "Server Key"))), nil
}

// verifies reports whether a stored verifier is of this password.
func verifies(stored, password string) bool {
	rest, ok := strings.CutPrefix(stored, "SCRAM-SHA-256$")
	count, rest, ok2 := strings.Cut(rest, ":")
	text, _, ok3 := strings.Cut(rest, "$")
	n, err := strconv.Atoi(count)
	if !ok || !ok2 || !ok3 || err != nil || n < 1 || n > 1<<20 {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	again, err := buildVerifier(password, salt, n)
	return err == nil && hmac.Equal([]byte(again), []byte(stored))
}
