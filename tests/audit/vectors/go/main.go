// Trees, proofs and signed notes by golang.org/x/mod/sumdb, which Moat's must equal byte for byte.
//
//	go run . > ../sumdb.json
//
// The tests read sumdb.json, so they need no Go.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const size = 70
const name = "moat/0123456789ab"

type inclusion struct {
	Size  int64       `json:"size"`
	Index int64       `json:"index"`
	Proof []tlog.Hash `json:"proof"`
}

type consistency struct {
	Size  int64       `json:"size"`
	First int64       `json:"first"`
	Proof []tlog.Hash `json:"proof"`
}

type signed struct {
	Text string `json:"text"`
	Note string `json:"note"`
}

type vectors struct {
	Seed        string        `json:"seed"`
	Name        string        `json:"name"`
	VKey        string        `json:"vkey"`
	Leaves      []string      `json:"leaves"`
	Roots       []tlog.Hash   `json:"roots"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
	Notes       []signed      `json:"notes"`
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = byte(i)
	}
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	vkey := must(note.NewEd25519VerifierKey(name, public))
	// "name+hash+key" becomes "PRIVATE+KEY+name+hash+seed": the hash is that of the public key.
	verifier := must(note.NewVerifier(vkey))
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, verifier.KeyHash(),
		base64.StdEncoding.EncodeToString(append([]byte{1}, seed...)))
	signer := must(note.NewSigner(skey))

	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	all := vectors{Seed: base64.StdEncoding.EncodeToString(seed), Name: name, VKey: vkey}
	for n := int64(0); n < size; n++ {
		leaf := fmt.Sprintf(`{"seq":%d}`, n)
		all.Leaves = append(all.Leaves, leaf)
		stored = append(stored, must(tlog.StoredHashes(n, []byte(leaf), read))...)
		all.Roots = append(all.Roots, must(tlog.TreeHash(n+1, read)))
	}
	for _, t := range []int64{1, 2, 3, 7, 8, 33, 64, 70} {
		for n := int64(0); n < t; n += 1 + t/9 {
			all.Inclusion = append(all.Inclusion, inclusion{t, n, must(tlog.ProveRecord(t, n, read))})
			first := n + 1
			all.Consistency = append(all.Consistency,
				consistency{t, first, must(tlog.ProveTree(t, first, read))})
		}
		text := fmt.Sprintf("%s\n%d\n%s\n", name, t, all.Roots[t-1])
		message := must(note.Sign(&note.Note{Text: text}, signer))
		must(note.Open(message, note.VerifierList(verifier)))
		all.Notes = append(all.Notes, signed{text, string(message)})
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(all); err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(out.Bytes())
}
