"""A shop that counts its orders: the Flask application of the interop tests. Listens on 127.0.0.1:$PORT."""

import os

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

app = Flask(__name__)
orders = Counter("orders_total", "처리된 주문 수", ["status"])
payments = Counter("payment_amount_total", "결제 금액 합계", ["currency"])
users = Gauge("active_users", "현재 활성 사용자 수")
stock = Gauge("inventory_stock", "상품별 재고", ["product"])
latency = Histogram("api_response_time_seconds", "API 응답 시간", ["endpoint"])

users.set(42)
for product, count in {"laptop": 120, "mouse": 30, "키보드": 49}.items():
    stock.labels(product).set(count)


@app.route("/order", methods=["POST"])
def order():
    ok = request.args.get("status", "success") == "success"
    orders.labels("success" if ok else "failed").inc()
    if ok:
        payments.labels("KRW").inc(float(request.args.get("amount", "19900.5")))
        stock.labels("mouse").dec()
    latency.labels("/order").observe(float(request.args.get("took", "0.12")))
    return {"ok": ok}


@app.route("/metrics")
def metrics():
    return Response(generate_latest(), mimetype=CONTENT_TYPE_LATEST)


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
