/* Loads and stores with a cache hint: plain accesses here, so they are watched where they stand. */
#ifndef ECH_EMU_DEVICE_CACHE_H
#define ECH_EMU_DEVICE_CACHE_H

#define ECH_EMU_LOAD(name)                                                                                   \
    template <class T> inline T name(const T *p)                                                             \
    {                                                                                                        \
        return *p;                                                                                           \
    }
ECH_EMU_LOAD(__ldg)
ECH_EMU_LOAD(__ldca)
ECH_EMU_LOAD(__ldcg)
ECH_EMU_LOAD(__ldcs)
ECH_EMU_LOAD(__ldcv)
ECH_EMU_LOAD(__ldlu)
#undef ECH_EMU_LOAD

#define ECH_EMU_STORE(name)                                                                                  \
    template <class T> inline void name(T *p, T v)                                                           \
    {                                                                                                        \
        *p = v;                                                                                              \
    }
ECH_EMU_STORE(__stcg)
ECH_EMU_STORE(__stcs)
ECH_EMU_STORE(__stwb)
ECH_EMU_STORE(__stwt)
#undef ECH_EMU_STORE

#endif
