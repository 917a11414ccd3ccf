// Command program is a guest that does what ordinary Go programs do.
package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"lockstep/guests/sdk/go/lockstep"
)

func init() { lockstep.Register(program{}) }

func main() {}

type program struct{}

var total int // state

func (program) Apply(ctx *lockstep.Ctx, input []byte) ([]byte, error) {
	total++
	switch string(input) {
	case "sleep":
		before := time.Now()
		time.Sleep(90 * time.Minute)
		return []byte(time.Since(before).Round(time.Minute).String()), nil
	case "now":
		return []byte(time.Now().UTC().Format(time.RFC3339) + " " + ctx.Time().Format(time.RFC3339)), nil
	case "rand":
		return strconv.AppendUint(nil, rand.Uint64(), 16), nil
	case "map":
		m := make(map[int]bool)
		for i := range 100 {
			m[i] = true
		}
		var order []byte
		for k := range m {
			order = append(order, byte(k))
		}
		return order, nil
	case "goroutines":
		var wg sync.WaitGroup
		results := make(chan int, 50)
		for i := range 50 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				results <- i
			})
		}
		wg.Wait()
		sum := 0
		for range 50 {
			sum += <-results
		}
		return strconv.AppendInt(nil, int64(sum), 10), nil
	case "gc":
		for range 5 {
			_ = make([]byte, 1<<20)
			runtime.GC()
		}
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return strconv.AppendUint(nil, uint64(s.NumGC), 10), nil
	case "recursion":
		return strconv.AppendInt(nil, int64(depth(1000)), 10), nil
	case "total":
		return strconv.AppendInt(nil, int64(total), 10), nil
	case "ambient":
		id := ctx.Caller()
		random := make([]byte, 8)
		ctx.Random(random)
		return fmt.Appendf(nil, "%d %x %x", ctx.Seq(), id[:2], random), nil
	case "environment":
		_, err := os.ReadFile("/etc/passwd")
		_, err2 := os.Stdin.Read(make([]byte, 1))
		return fmt.Appendf(nil, "%d %d %v; %v", len(os.Args), len(os.Environ()), err, err2), nil
	case "print":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		ctx.Log("to the log")
		return nil, nil
	case "reject":
		return nil, lockstep.Reject(77, "no")
	case "error":
		return nil, errors.New("an error")
	case "panic":
		panic("on purpose")
	case "deadlock":
		<-make(chan int)
	case "exit":
		os.Exit(3)
	case "spin":
		for {
			total++
		}
	case "memory":
		var keep [][]byte
		for {
			keep = append(keep, make([]byte, 1<<20))
			total += len(keep)
		}
	}
	return nil, errors.New("unknown command")
}

func depth(n int) int {
	var frame [64]int
	frame[n%64] = n
	if n == 0 {
		return 0
	}
	return depth(n-1) + frame[n%64]/n
}
