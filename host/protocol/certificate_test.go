package protocol_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"lockstep/audit"
	"lockstep/host"
	"lockstep/host/protocol"
)

var update = flag.Bool("update", os.Getenv("UPDATE") != "", "rewrite testdata")

func key(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
}

func panel(n int) audit.Members {
	m := audit.Members{Seq: 3, Mode: audit.Majority}
	for i := range n {
		m.List = append(m.List, audit.Member{ID: audit.ReplicaID(fmt.Sprint("n", i)), Key: key(i).Public().(ed25519.PublicKey), Voter: true})
	}
	return m
}

// certificate is one that voters 0 to signers-1 signed.
func certificate(signers int) protocol.Certificate {
	receipts := host.ReceiptsFormat.Encode(host.Receipts{{Number: 8, Gas: 5, Output: []byte("no")}, {Number: 9, Gas: 7, Output: []byte("yes")}})
	c := protocol.Certificate{Machine: "kv", Epoch: 1, Seq: 12, Members: 3, Client: host.ClientID{0xc1}, Number: 9, Receipts: receipts}
	c.Chain[0] = 0xab
	for i := range signers {
		v := vote(c, i)
		c.Signatures = append(c.Signatures, protocol.Signature{Replica: v.Replica, Signature: v.Signature})
	}
	return c
}

func vote(c protocol.Certificate, i int) audit.Vote {
	v := audit.Vote{
		Machine: c.Machine, Replica: audit.ReplicaID(fmt.Sprint("n", i)), Epoch: c.Epoch, Seq: c.Seq, Chain: c.Chain, Members: c.Members,
		Outputs: protocol.OutputsDigest(c.Client, c.Receipts),
	}
	v.Sign(key(i))
	return v
}

func TestCertificateProves(t *testing.T) {
	for voters, majority := range map[int]int{1: 1, 3: 2, 5: 3} {
		for signers := range voters + 1 {
			c, err := protocol.DecodeCertificate(certificate(signers).Encode())
			if err != nil {
				t.Fatal(err)
			}
			receipts, err := c.Verify(panel(voters))
			if got, want := err == nil, signers >= majority; got != want {
				t.Errorf("%d of %d signed: proven = %v, %v, want %v", signers, voters, got, err, want)
			}
			if err == nil && string(receipts[1].Output) != "yes" {
				t.Errorf("proven: %+v", receipts)
			}
		}
	}
}

// Whatever is changed, it proves nothing any more.
func TestCertificateForged(t *testing.T) {
	members := panel(3)
	observer := panel(3)
	observer.List[1].Voter = false
	later := panel(3)
	later.Seq = 4
	crash := panel(3)
	crash.Mode = audit.Crash
	keys := panel(3)
	keys.List[0].Key, keys.List[1].Key = keys.List[1].Key, keys.List[0].Key
	for name, f := range map[string]func(*protocol.Certificate) audit.Members{
		"another machine":    func(c *protocol.Certificate) audit.Members { c.Machine = "bank"; return members },
		"another epoch":      func(c *protocol.Certificate) audit.Members { c.Epoch++; return members },
		"another seq":        func(c *protocol.Certificate) audit.Members { c.Seq++; return members },
		"another chain":      func(c *protocol.Certificate) audit.Members { c.Chain[31]++; return members },
		"another client":     func(c *protocol.Certificate) audit.Members { c.Client[0]++; return members },
		"another number":     func(c *protocol.Certificate) audit.Members { c.Number = 10; return members },
		"other members":      func(c *protocol.Certificate) audit.Members { c.Members = 4; return later },
		"later members":      func(*protocol.Certificate) audit.Members { return later },
		"members with swaps": func(*protocol.Certificate) audit.Members { return keys },
		"an observer's vote": func(*protocol.Certificate) audit.Members { return observer },
		"mode crash":         func(*protocol.Certificate) audit.Members { return crash },
		"no members":         func(*protocol.Certificate) audit.Members { return audit.Members{Seq: 3} },
		"other receipts": func(c *protocol.Certificate) audit.Members {
			c.Receipts = bytes.Replace(c.Receipts, []byte("yes"), []byte("yea"), 1)
			return members
		},
		"no receipts": func(c *protocol.Certificate) audit.Members { c.Receipts = nil; return members },
		"a stranger's vote": func(c *protocol.Certificate) audit.Members {
			v := vote(*c, 7)
			c.Signatures[1] = protocol.Signature{Replica: v.Replica, Signature: v.Signature}
			return members
		},
		"one vote under two names": func(c *protocol.Certificate) audit.Members {
			c.Signatures[1].Signature = c.Signatures[0].Signature
			return members
		},
		"one vote twice": func(c *protocol.Certificate) audit.Members {
			c.Signatures = []protocol.Signature{c.Signatures[0], c.Signatures[0]}
			return members
		},
	} {
		c := certificate(2)
		by := f(&c)
		decoded, err := protocol.DecodeCertificate(c.Encode())
		if err == nil {
			_, err = decoded.Verify(by)
			if !errors.Is(err, protocol.ErrNotProven) {
				t.Errorf("%s: %v, want ErrNotProven", name, err)
			}
		} else if name != "one vote twice" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The vectors are for other implementations: hex of the members, of a
// certificate and whether it is proven, a line each.
func TestCertificateVectors(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "members %x\n", host.MembersFormat.Encode(panel(3)))
	for signers := range 4 {
		c := certificate(signers)
		_, err := c.Verify(panel(3))
		fmt.Fprintf(&b, "certificate %v %x\n", err == nil, c.Encode())
	}
	const file = "testdata/certificates.txt"
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(file, []byte(b.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("vectors differ from %s:\n%s", file, b.String())
	}
	for line := range strings.Lines(string(want)) {
		words := strings.Fields(line)
		if words[0] != "certificate" {
			continue
		}
		data, err := hex.DecodeString(words[2])
		if err != nil {
			t.Fatal(err)
		}
		c, err := protocol.DecodeCertificate(data)
		if err != nil || !bytes.Equal(c.Encode(), data) {
			t.Errorf("vector does not re-encode: %v", err)
		}
	}
}

// Whatever decodes re-encodes, and only what a majority signed is proven.
func FuzzCertificate(f *testing.F) {
	members := panel(3)
	honest := certificate(3)
	for n := range 4 {
		f.Add(certificate(n).Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := protocol.DecodeCertificate(data)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Encode(), data) {
			t.Error("decodes, and re-encodes to other bytes")
		}
		if _, err := c.Verify(members); err == nil && (c.Seq != honest.Seq || !bytes.Equal(c.Receipts, honest.Receipts)) {
			t.Error("proves what nobody signed")
		}
	})
}

// Messages from the wire: whatever decodes re-encodes to the same bytes, and
// nothing panics.
func FuzzMessages(f *testing.F) {
	q := protocol.Question{Queries: [][]byte{{1}}, Responder: "n0"}.Encode()
	f.Add(q)
	receipts := host.ReceiptsFormat.Encode(host.Receipts{{Number: 1}})
	f.Add(protocol.ReadAnswerFormat.Encode(protocol.ReadAnswer{Receipts: receipts, Reading: audit.Reading{Outputs: protocol.ReadDigest(receipts)}}))
	f.Add(protocol.AnswerFormat.Encode(protocol.Answer{Receipts: receipts, Vote: audit.Vote{Outputs: protocol.OutputsDigest(host.ClientID{}, receipts)}}))
	events := protocol.EventsFormat.Encode(protocol.Events{List: []host.Event{{Data: []byte("e")}}})
	f.Add(protocol.EventsVoteFormat.Encode(protocol.EventsVote{Events: events, Vote: audit.Vote{Outputs: protocol.EventsDigest(0, events)}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if q, err := protocol.DecodeQuestion(data); err == nil && !slices.Equal(q.Encode(), data) {
			t.Error("question re-encodes to other bytes")
		}
		if a, r, err := protocol.DecodeReadAnswer(data); err == nil && (len(a.Receipts) > 0) != (len(r) > 0) {
			t.Error("read answer with receipts that are none")
		}
		if a, r, err := protocol.DecodeAnswer(host.ClientID{}, data); err == nil && (len(a.Receipts) > 0) != (len(r) > 0) {
			t.Error("answer with receipts that are none")
		}
		if v, _, err := protocol.DecodeEventsVote(data); err == nil && !slices.Equal(protocol.EventsVoteFormat.Encode(v), data) {
			t.Error("vote on events re-encodes to other bytes")
		}
	})
}
