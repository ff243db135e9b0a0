module github.com/waybill-dev/waybill/examples

go 1.26.8

require github.com/waybill-dev/waybill v0.0.0

replace github.com/waybill-dev/waybill => ..
