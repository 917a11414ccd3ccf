package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"lockstep/client"
	"lockstep/host/protocol"
)

// A call returns what a majority of the machine's voters answered alike.
func ExampleClient_Call() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Machine: "calls", URLs: deployed("calls")})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	for range 3 {
		out, err := c.Call(ctx, add(7))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(number(out.Bytes))
	}

	// What the guest refuses leaves no trace.
	var rejected *client.RejectedError
	if _, err := c.Call(ctx, []byte("nonsense")); errors.As(err, &rejected) {
		fmt.Println("rejected with code", rejected.Code)
	}
	// Output:
	// 7
	// 14
	// 21
	// rejected with code 16
}

// Where the context ends before a majority has answered, the error says what is known.
func ExampleFailError() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Machine: "fails", URLs: deployed("fails")})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = c.Query(gone, get(), client.Linearizable)
	var fail *client.FailError
	if errors.As(err, &fail) {
		switch fail.Fate {
		case client.Unsent:
			fmt.Println("nothing was applied")
		case client.MaybeOrdered:
			fmt.Println("it may be applied, now or later: ask the machine")
		case client.Ordered:
			fmt.Println("it is applied at seq", fail.Seq, "and the output is not known")
		}
	}
	// Output: nothing was applied
}

// Many calls of one goroutine share entries of the log, as those of many goroutines do.
func ExampleClient_CallAsync() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Machine: "async", URLs: deployed("async")})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	var calls []*client.Pending
	for range 10 {
		p, err := c.CallAsync(add(2))
		if err != nil {
			log.Fatal(err)
		}
		calls = append(calls, p)
	}
	highest := 0
	for _, p := range calls {
		out, err := p.Wait(ctx)
		if err != nil {
			log.Fatal(err)
		}
		highest = max(highest, number(out.Bytes))
	}
	fmt.Println(highest)
	// Output: 20
}

// Queries read without a place in the log; the mode says how sure the answer is.
func ExampleClient_Query() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Machine: "queries", URLs: deployed("queries")})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	wrote, err := c.Call(ctx, add(5))
	if err != nil {
		log.Fatal(err)
	}
	// Linearizable sees what was answered to anybody before it began.
	// Voted is that, and a majority has run the query with one and the same output.
	for _, mode := range []client.Mode{client.Linearizable, client.Voted} {
		out, err := c.Query(ctx, get(), mode)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(mode, number(out.Bytes))
	}
	// Stale asks one replica, which may be behind; from a seq on it has at least that.
	out, err := c.QueryFrom(ctx, get(), client.Stale, wrote.Seq)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Stale, number(out.Bytes))
	// Output:
	// linearizable 5
	// voted 5
	// stale 5
}

// Events that the guest emits come to every subscriber once, in the order of the log.
func ExampleClient_Subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Machine: "events", URLs: deployed("events")})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	s, err := c.Subscribe(ctx, 0) // from now on; Event.Seq says where to resume
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for range 2 {
		if _, err := c.Call(ctx, add(3)); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		e, err := s.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", e.Data) // ["changed", n] in CBOR
	}
	// Output:
	// "\x82gchanged\x03"
	// "\x82gchanged\x06"
}

// A certificate proves an output to somebody who has the membership and nothing else.
func ExampleVerify() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Machine: "certified", URLs: deployed("certified")})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	out, err := c.Call(ctx, add(9))
	if err != nil {
		log.Fatal(err)
	}
	certificate := out.Certificate()
	members, err := c.Members(ctx) // the verifier has it from somebody whom it trusts
	if err != nil {
		log.Fatal(err)
	}

	proven, err := client.Verify(certificate, members)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(proven.Machine, number(proven.Receipt.Output), len(proven.Voters) >= 2)

	certificate[len(certificate)-1] ^= 1
	_, err = client.Verify(certificate, members)
	fmt.Println(errors.Is(err, protocol.ErrNotProven))
	// Output:
	// certified 9 true
	// true
}

// A client that is started again goes on with its session: a call that was open is made
// once, in whichever life.
func ExampleClient_Resumed() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var mu sync.Mutex
	var kept []byte // in a file, of a client that is to survive
	options := client.Options{Machine: "sessions", URLs: deployed("sessions"), Save: func(session []byte) error {
		mu.Lock()
		defer mu.Unlock()
		kept = session
		return nil
	}}
	first, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := first.Call(ctx, add(4)); err != nil { // kept has it as open
		log.Fatal(err)
	}
	if err := first.Close(); err != nil {
		log.Fatal(err)
	}

	options.Session = kept
	second, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	for _, p := range second.Resumed() {
		out, err := p.Wait(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("was open, gave", number(out.Bytes))
	}
	out, err := second.Call(ctx, add(1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(number(out.Bytes))
	// Output:
	// was open, gave 4
	// 5
}
