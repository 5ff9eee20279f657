"""Run the PyPI autobahntestsuite 25.10.1 Case classes on Python 3
by treating Py2 'str' payloads as latin-1 bytes."""
import sys, json, time, importlib, types, warnings
warnings.filterwarnings("ignore")
import os; sys.path.insert(0, os.environ.get("ATS_PKG", "./pkg"))
from autobahn.websocket import utf8validator as _u
_Orig = _u.Utf8Validator
def B(x):
    if isinstance(x, (bytes, bytearray)): return bytes(x)
    if isinstance(x, str): return x.encode("latin-1")
    return x
def S(x):
    return x.decode("latin-1") if isinstance(x, (bytes, bytearray)) else x
class V(_Orig):
    def validate(self, ba): return _Orig.validate(self, B(ba))
_u.Utf8Validator = V
from twisted.internet import reactor
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
import binascii as _ba
_orig_hex = _ba.b2a_hex
_ba.b2a_hex = lambda x, *a: _orig_hex(B(x)).decode()
from autobahntestsuite.case import Cases, CaseCategories, CaseSubCategories
from autobahntestsuite.case.case import Case
from autobahntestsuite.caseset import CaseSet
from autobahn.websocket.protocol import WebSocketProtocol
_ba.b2a_hex = _orig_hex
_shim = types.SimpleNamespace(b2a_hex=lambda x,*a: _orig_hex(B(x)).decode(), hexlify=lambda x,*a:_orig_hex(B(x)).decode())
for _n,_m in list(sys.modules.items()):
    if _n.startswith("autobahntestsuite.case") and hasattr(_m,"binascii"): _m.binascii=_shim
def norm(o):
    if isinstance(o, (bytes, bytearray)): return S(o)
    if isinstance(o, (list, tuple)): return type(o)(norm(i) for i in o)
    return o
Case.compare = lambda self, a, b: norm(a) == norm(b)
class P(WebSocketClientProtocol):
    def connectionMade(self):
        self.connectionWasOpen = False; self.wirelog = []; self.createWirelog = False; self.createStats = True
        self.txFrameStats = {}; self.rxFrameStats = {}; self.txOctetStats = {}; self.rxOctetStats = {}
        WebSocketClientProtocol.connectionMade(self)
    def enableWirelog(self, e): pass
    def logRxOctets(self, d): pass
    def logTxOctets(self, d, s): pass
    def logRxFrame(self, h, p): self.rxFrameStats[h.opcode] = self.rxFrameStats.get(h.opcode, 0) + 1
    def logTxFrame(self, h, *a): self.txFrameStats[h.opcode] = self.txFrameStats.get(h.opcode, 0) + 1
    def _later(self, d, f):
        def g():
            if self.state != WebSocketProtocol.STATE_CLOSED: f()
        reactor.callLater(d, g)
    def continueLater(self, d, f, tag=None): self._later(d, f)
    def killAfter(self, d): self._later(d, lambda: self._fail_connection(WebSocketProtocol.CLOSE_STATUS_CODE_GOING_AWAY, "kill"))
    def closeAfter(self, d): self._later(d, self.sendClose)
    def sendFrame(self, opcode, payload=b"", **k):
        WebSocketClientProtocol.sendFrame(self, opcode, B(payload), **k)
    def sendMessage(self, payload, isBinary=False, **k):
        WebSocketClientProtocol.sendMessage(self, B(payload), isBinary, **k)
    def sendPing(self, payload=None): WebSocketClientProtocol.sendPing(self, B(payload) if payload is not None else None)
    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        WebSocketClientProtocol.sendCloseFrame(self, code, B(reasonUtf8) if reasonUtf8 is not None else None, isReply)
    def beginMessageFrame(self, l): WebSocketClientProtocol.beginMessageFrame(self, l)
    def sendMessageFrameData(self, payload, sync=False): WebSocketClientProtocol.sendMessageFrameData(self, B(payload), sync)
    def sendMessageFrame(self, payload, sync=False): WebSocketClientProtocol.sendMessageFrame(self, B(payload), sync)
    def onOpen(self):
        self.connectionWasOpen = True
        self.t0 = time.time()
        try: self.runCase.onOpen()
        except Exception as e: self.factory.err(e); self.dropConnection(True)
    def onMessage(self, payload, isBinary):
        keep = self.runCase.__class__.__name__.startswith(("Case12","Case13"))
        try: self.runCase.onMessage(payload if keep else S(payload), isBinary)
        except Exception as e: self.factory.err(e); self.dropConnection(True)
    def onPong(self, payload): self.runCase.onPong(S(payload))
    def onPing(self, payload):
        self.runCase.onPing(S(payload)); self.sendPong(payload)
    def onClose(self, wasClean, code, reason): self.runCase.onClose(wasClean, code, reason)
    def connectionLost(self, reason):
        WebSocketClientProtocol.connectionLost(self, reason)
        if isinstance(self.localCloseReason, str):
            self.localCloseReason = self.localCloseReason.encode("latin-1", "replace")
        if isinstance(self.remoteCloseReason, str):
            pass
        try: self.runCase.onConnectionLost(getattr(self, "failedByMe", False))
        except Exception as e: self.factory.err(e)
class F(WebSocketClientFactory):
    def __init__(self, url, ids, cs, out):
        WebSocketClientFactory.__init__(self, url)
        self.cs, self.ids, self.i, self.res, self.out = cs, ids, -1, {}, out
        self.logOctets = False; self.logFrames = True
        self.setProtocolOptions(failByDrop=False)
    def err(self, e):
        import traceback
        self.res.setdefault(self.ids[self.i], {})["error"] = "".join(traceback.format_exception(e))[-400:]
    def next(self):
        self.i += 1; return self.i < len(self.ids)
    def buildProtocol(self, a):
        p = P(); p.factory = self
        p.Case = self.cs.CasesById[self.ids[self.i]]
        self.cur = p.runCase = p.Case(p); self.t0 = time.time()
        p._proto = p
        self.p = p
        return p
    def clientConnectionLost(self, c, r):
        d = self.res.setdefault(self.ids[self.i], {})
        d.update(behavior=self.cur.behavior, behaviorClose=self.cur.behaviorClose, result=str(self.cur.result)[:160], resultClose=str(self.cur.resultClose)[:120], code=self.p.remoteCloseCode, ms=int(1000*(time.time()-self.t0)))
        if self.next(): c.connect()
        else: self.done()
    def clientConnectionFailed(self, c, r):
        print("connect failed", r); self.done()
    def done(self):
        json.dump(self.res, open(self.out, "w"), indent=1); reactor.stop()
url, out, pats = sys.argv[1], sys.argv[2], sys.argv[3:]
cs = CaseSet("websocket", "Case", Cases, CaseCategories, CaseSubCategories)
spec = {"cases": [p for p in pats if not p.startswith("-")], "exclude-cases": [p[1:] for p in pats if p.startswith("-")]}
ids = cs.parseSpecCases(spec)
print(len(Cases), "cases known;", len(ids), "selected")
f = F(url, ids, cs, out); f.next(); connectWS(f); reactor.run()
from collections import Counter
print(Counter(v.get("behavior") for v in f.res.values()), Counter(v.get("behaviorClose") for v in f.res.values()))
print("errors:", sum("error" in v for v in f.res.values()))
