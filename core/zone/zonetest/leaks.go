package zonetest

import "go.uber.org/goleak"

// Leaks are the goroutines that the gateway's HTTP library leaves for some seconds
// after it was stopped. Pass them to goleak.
func Leaks() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	}
}
