package client

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep/host"
)

// A question that is lost, as with a server that stands still, is asked again.
func TestInfosAfterLostQuestion(t *testing.T) {
	s, err := server.NewServer(&server.Options{ServerName: "members", DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	asked := 0
	if _, err := conn.Subscribe(host.InfoSubject("kv"), func(m *nats.Msg) {
		if asked++; asked > 1 {
			_ = m.Respond(host.InfoFormat.Encode(infoOf(0, 1, 1)))
		}
	}); err != nil {
		t.Fatal(err)
	}
	c := &Client{denials: new(denials), opts: Options{Machine: "kv"}, conn: conn}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	infos, err := c.Infos(ctx)
	if err != nil || len(infos) != 1 {
		t.Fatalf("got %d answers, %v", len(infos), err)
	}
}
