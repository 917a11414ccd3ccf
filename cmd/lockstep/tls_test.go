package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// info is the first line that a NATS server says on a connection.
func info(t *testing.T, conn net.Conn) (said struct {
	TLS bool `json:"tls_required"`
}) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReaderSize(conn, 1<<16).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &said); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	return said
}

// Three nodes with the certificates of init: clients and routes speak TLS alone, nodes know each other by their
// certificates, and whoever trusts nobody in particular, or speaks without, is told what to do.
func TestTLS(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	if out := n.must("init", "c", "--tls", "--use", "c", "--port", fmt.Sprint(n.port)); !strings.Contains(out, "c/ca.pem") {
		t.Errorf("init says %s", out)
	}
	t.Cleanup(func() {
		for i := range n.cmds {
			n.end(i, syscall.SIGKILL)
		}
	})
	n.must("init", "other", "--tls")
	n.startAll()
	n.copyCounter()
	n.must("deploy", "counter", "counter.wasm")
	client := []string{"--nkey", "c/client.nk"}
	if out := n.must(append([]string{"call", "counter", "-i", "json", `["add",2]`}, client...)...); strings.TrimSpace(out) != "2" {
		t.Errorf("call says %q", out)
	}
	plain := []string{"--nkey", "c/admin.nk", "--server", strings.Replace(n.url(), "nats:", "tls:", 1)}
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"trusts nobody":       {plain, exitUnreachable, "name whom to trust with --ca FILE"},
		"trusts another":      {append(plain, "--ca", "other/ca.pem"), exitUnreachable, "name whom to trust with --ca FILE"},
		"trusts the cluster":  {append(plain, "--ca", "c/ca.pem"), exitOK, ""},
		"without tls:// too":  {[]string{"--nkey", "c/admin.nk", "--server", n.url(), "--ca", "c/ca.pem"}, exitOK, ""},
		"a file that is none": {append(plain, "--ca", "c/admin.nk"), exitUsage, "holds no certificate in PEM"},
	} {
		_, errs, code := n.lockstep(append([]string{"status"}, tc.args...)...)
		if code != tc.code || !strings.Contains(errs, tc.says) {
			t.Errorf("%s: exit code %d, %s", name, code, errs)
		}
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.port))
	if err != nil {
		t.Fatal(err)
	}
	if !info(t, conn).TLS {
		t.Error("the port for clients does not ask for TLS")
	}
	_ = conn.Close()
	own, err := tls.LoadX509KeyPair(filepath.Join(n.dir, "c", "n1", "node.pem"), filepath.Join(n.dir, "c", "n1", "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.route(own); err != nil {
		t.Errorf("a route with a certificate: %v", err)
	}
	if err := n.route(); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a route without a certificate: %v", err)
	}
	n.outside()
}

// route connects as another node's server does, and reads what the first says.
func (n *processes) route(show ...tls.Certificate) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", n.port+2000), patience)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: show}).Read(make([]byte, 1))
	return err
}

// outside runs a node that uses the cluster as a NATS of somebody else's.
func (n *processes) outside() {
	n.t.Helper()
	c := exec.Command(os.Args[0], "node", "--name", "guest", "--data", filepath.Join(n.dir, "guest"), "--http", "", "--log-level", "error", "--json",
		"--nats-url", strings.Replace(n.url(), "nats:", "tls:", 1), "--nats-nkey", filepath.Join(n.dir, "c", "n1", "node.nk"), "--tls-ca", filepath.Join(n.dir, "c", "ca.pem"))
	c.Env, c.Stderr = append(os.Environ(), envMain+"=1"), n.t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	defer func() { _, _ = c.Process.Kill(), c.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('{'); err != nil {
		n.t.Fatalf("the node outside says %q, %v", line, err)
	}
	for deadline := time.Now().Add(patience); ; {
		var rows []nodeStatus
		if err := json.Unmarshal([]byte(n.must("status", "--json")), &rows); err != nil {
			n.t.Fatal(err)
		}
		for _, r := range rows {
			if r.Node == "guest" && r.Server == "" {
				return
			}
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("the node outside is not there: %+v", rows)
		}
	}
}

// A server whose operator wants certificates of clients, in nats-server's language.
func TestClientCertificates(t *testing.T) {
	n := &processes{t: t, dir: t.TempDir(), port: freePort(t)}
	n.must("init", "c", "--tls", "--use", "c", "--nodes", "n1", "--port", fmt.Sprint(n.port))
	dir := filepath.Join(n.dir, "c", "n1")
	conf, config := filepath.Join(dir, "server.conf"), filepath.Join(dir, "node.toml")
	text, err := os.ReadFile(conf)
	if err == nil {
		block := fmt.Sprintf("\ntls {\n  cert_file: %q\n  key_file: %q\n  ca_file: %q\n  verify: true\n}\n",
			filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.pem"))
		err = os.WriteFile(conf, append(text, block...), 0o600)
	}
	if err == nil {
		text, err = os.ReadFile(config)
	}
	if err == nil {
		without := strings.NewReplacer(`tls_cert = "node.pem"`, `tls_cert = ""`, `tls_key = "node.key"`, `tls_key = ""`, `tls_ca = "ca.pem"`, `tls_ca = ""`)
		err = os.WriteFile(config, []byte(without.Replace(string(text))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-n.start(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(0, syscall.SIGKILL) })
	if _, errs, code := n.lockstep("status"); code != exitUnreachable || !strings.Contains(errs, "name one with --cert FILE and --key FILE") {
		t.Errorf("without a certificate: exit code %d, %s", code, errs)
	}
	if out := n.must("status", "--cert", "c/n1/node.pem", "--key", "c/n1/node.key"); !strings.Contains(out, "n1") {
		t.Errorf("with a certificate: %s", out)
	}
}
