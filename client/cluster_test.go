package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/audit"
	"lockstep/client"
	"lockstep/host"
	"lockstep/host/local"
	"lockstep/ordering"
)

// patience is how long anything may take that a test or an example waits for.
const patience = 60 * time.Second

// shared is one cluster in this process for the tests and the examples, each of which
// has a machine of its own.
var shared struct {
	once    sync.Once
	dir     string
	cluster *local.Cluster
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.cluster != nil {
		if err := errors.Join(shared.cluster.Close(), os.RemoveAll(shared.dir)); err != nil {
			log.Fatal(err)
		}
	}
	os.Exit(code)
}

// deployed has the cluster of three nodes run the counter guest as a machine of that
// name, and returns the URLs of its servers.
func deployed(machine string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := deploy(ctx, machine); err != nil {
		log.Fatal(err)
	}
	return shared.cluster.URLs()
}

func deploy(ctx context.Context, machine string) error {
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "lockstep-client"); shared.err == nil {
			shared.cluster, shared.err = local.Start(ctx, local.Options{Dir: shared.dir})
		}
	})
	if shared.err != nil {
		return shared.err
	}
	c := shared.cluster
	if err := c.Host(ctx, ordering.Name(machine)); err != nil {
		return err
	}
	wasm, err := os.ReadFile("../guests/examples/counter/counter-rust.wasm")
	if err != nil {
		return err
	}
	cl, err := client.Connect(ctx, client.Options{Machine: machine, URLs: c.URLs()})
	if err != nil {
		return err
	}
	_, err = cl.Deploy(ctx, wasm, host.Config{}, []audit.ReplicaID{c.Name(0), c.Name(1), c.Name(2)})
	return errors.Join(err, cl.Close())
}

// add is the counter's input ["add", n] in CBOR, for n up to 23.
func add(n byte) []byte { return append([]byte("\x82\x63add"), n) }

// get is the counter's query ["get"].
func get() []byte { return []byte("\x81\x63get") }

// number is a number up to 23 in CBOR.
func number(output []byte) int {
	if len(output) != 1 || output[0] > 23 {
		panic(fmt.Sprintf("output is %x", output))
	}
	return int(output[0])
}

// Replicas answer to inboxes alone, so that a client with others would wait for ever.
func TestForeignInboxes(t *testing.T) {
	urls := deployed("inboxes")
	conn, err := nats.Connect(urls[0], nats.CustomInboxPrefix("mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := client.Connect(t.Context(), client.Options{Machine: "inboxes", Conn: conn}); err == nil || !strings.Contains(err.Error(), "_INBOX.>") {
		t.Errorf("Connect: %v", err)
	}
}
