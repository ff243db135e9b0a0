module github.com/waybill-dev/waybill/scan/gitleaks

go 1.26.8

replace github.com/waybill-dev/waybill => ../..
