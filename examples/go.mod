module github.com/waybill-dev/waybill/examples

go 1.26.8

replace github.com/waybill-dev/waybill => ..
