package outbox

// WithHook returns o with a function that is called at points where a killed process would leave something half done.
func WithHook(o Options, hook func(point string)) *Options {
	o.hook = hook
	return &o
}
