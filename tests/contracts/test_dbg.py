import json,pytest
from tests.contracts.test_demo_bundle import *
from cms.models import *
from cms.publishing import *
from cms.publishing import _same,_checksum
def test_dbg(demo):
    p=Page.objects.get(path="/about")
    with committing(): load_bundle(BUNDLE, now=NOW, publish=True, folder=DEMO)
    a,b=list(Plan.objects.filter(page=p,locale="en").order_by("revision__n"))
    print(a.revision.content==b.revision.content, a.program==b.program)
    def d(x,y,at=""):
        if type(x)!=type(y): print(at,x,y)
        elif isinstance(x,dict):
            for k in x.keys()|y.keys(): d(x.get(k),y.get(k),at+"/"+k)
        elif isinstance(x,list):
            if len(x)!=len(y): print(at,len(x),len(y))
            for i,(m,n) in enumerate(zip(x,y)): d(m,n,f"{at}/{i}")
        elif x!=y: print(at,x,y)
    d(a.program,b.program); d(a.revision.content,b.revision.content)
    assert 0
